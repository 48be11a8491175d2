# shellcheck shell=bash

# render TEMPLATE: prints it with each ${NAME} replaced by that variable; one that is not set is an error
render() {
    local text name
    text=$(<"$HERE/templates/$1")
    while [[ $text =~ \$\{([A-Z_]+)\} ]]; do
        name=${BASH_REMATCH[1]}
        [[ -v $name ]] || fail "templates/$1 wants \${$name}, which is not set"
        text=${text//"\${$name}"/"${!name}"}
    done
    printf '%s\n' "$text"
}
