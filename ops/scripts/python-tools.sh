# shellcheck shell=bash
# Tools of the tests that come as Python packages, each in a virtual environment of its own, pinned, under the cache
# directory. To be sourced after environment.sh. Deliberately not here: which tools there are (see ops/test).

# python_tool COMMAND PACKAGE==VERSION: makes sure of it and sets `tool` to its path, or sets `tool_missing` to why not.
python_tool() {
    local command=$1 package=$2
    local home=${cache:?source environment.sh first}/tools/$package
    tool=$home/bin/$command
    tool_missing=
    [[ -x $tool ]] && return 0
    rm -rf -- "$home"
    local log
    if ! log=$(python3 -m venv "$home" 2>&1 && "$home/bin/pip" install --quiet --disable-pip-version-check "$package" 2>&1); then
        # shellcheck disable=SC2034 # read by the caller
        tool_missing="$package could not be installed: $(tail -n 1 <<<"$log")"
        rm -rf -- "$home"
        return 1
    fi
}
