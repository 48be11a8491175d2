# shellcheck shell=bash
# Programs from the distribution. They are named, and installed only by a continuous-integration run as root: nobody
# else expects a test to install packages.

# need PACKAGE=PROBE...: the probe is a program, or a file when it holds a slash
need() {
    local pair missing=()
    for pair in "$@"; do
        case ${pair#*=} in
        */*) [ -e "${pair#*=}" ] || missing+=("${pair%%=*}") ;;
        *) command -v "${pair#*=}" >/dev/null || missing+=("${pair%%=*}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || [ "${CI:-}" != true ]; then
        skip "this machine lacks ${missing[*]}: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
}
