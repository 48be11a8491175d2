# One image for every role: the static `dojo` binary on an empty base.
#
#   buildah build -t mle-dojo-operator:dev .        or        docker build -t mle-dojo-operator:dev .
#
# BUILD_BASE needs a Rust toolchain (1.89 or later), a C linker and the C library's static archive (libc6-dev or musl).
# A static binary does not depend on the image that it is copied into: an episode's init container copies it into the
# task's image.
#
# Where the static binary exists already (`make static`), it is packed as it is, and no base image is needed:
#
#   buildah build -t mle-dojo-operator:dev -f Dockerfile --build-arg BINARY=prebuilt FOLDER_WITH_DOJO
ARG BUILD_BASE=docker.io/library/rust:1.95-slim
ARG BINARY=build

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
# The flag goes to the program alone: procedural macros cannot be static.
RUN cargo rustc --release --locked --bin dojo -- -C target-feature=+crt-static \
    && install -D target/release/dojo /out/dojo

FROM scratch AS prebuilt
COPY --chmod=0755 dojo /out/dojo

FROM ${BINARY} AS binary

FROM scratch
COPY --from=binary /out/dojo /dojo
USER 65532:65532
ENTRYPOINT ["/dojo"]
