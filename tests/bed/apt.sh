# Debian packages without touching the host: apt-get with state, cache and lists of its own under
# target/, and the host's own sources, keys, proxy and certificate settings. Nothing is installed on
# the host and its lists stay as they are. Sourced by build, makemap and openssl; not run.
#
# Exit statuses of the scripts that source it: 0 done, 3 cannot be had on this host (one line says
# why; with CI=true that is status 1, for nothing may be left out there), 1 it broke.

set -eu
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin

repo=$(cd "$(dirname "$0")/../.." && pwd)
target=$repo/target
private=$target/testbed/apt
me=${0##*/}

say() { echo "tests/bed/$me: $*" >&2; }
fail() { say "$*"; exit 1; }
cannot() {
    say "cannot be had here: $*"
    [ "${CI:-}" = true ] && exit 1
    exit 3
}

# One script at a time: two at once would spoil each other's half-made folders.
alone() {
    mkdir -p "$target/testbed"
    exec 9>"$target/testbed/lock"
    flock 9
}

# The host must be Debian: the tests run binaries built on the host inside the bed, so the bed is of
# the host's own release.
codename() {
    [ -r /etc/os-release ] || cannot "no /etc/os-release"
    (. /etc/os-release; [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}")
}

# Write the private apt configuration. The host's hooks (DPkg::*, APT::Update::*) are dropped: they
# are written for the host's own root and cache.
configure_apt() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || cannot "no apt-get or no dpkg"
    release=$(codename) && [ -n "$release" ] || cannot "not a Debian host"
    rm -rf "${private:?}/etc"
    mkdir -p "$private/etc/conf" "$private/etc/sources" "$private/lists/partial" \
        "$private/archives/partial" "$private/none" "$private/log"
    : >"$private/empty"
    for file in /etc/apt/apt.conf.d/* /etc/apt/apt.conf; do
        [ -f "$file" ] && cp "$file" "$private/etc/conf/" || :
    done
    cat >"$private/etc/conf/zz-private" <<EOF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::Contents-deb;
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
EOF
    # Only sources of the host's own release: a third party's may be out of reach, and is not needed.
    of_release="(^|[[:space:]])$release([-/[:space:]]|\$)"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && grep -E "$of_release" "$file" >>"$private/etc/sources/host.list" || :
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && grep -Eq "$of_release" "$file" && cp "$file" "$private/etc/sources/" || :
    done
    cat >"$private/etc/apt.conf" <<EOF
Dir::Etc::main "$private/empty";
Dir::Etc::parts "$private/etc/conf";
Dir::Etc::sourcelist "$private/empty";
Dir::Etc::sourceparts "$private/etc/sources";
Dir::Etc::preferences "$private/empty";
Dir::Etc::preferencesparts "$private/none";
Dir::State "$private";
Dir::State::lists "$private/lists";
Dir::State::status "$private/empty";
Dir::Cache "$private";
Dir::Cache::archives "$private/archives";
Dir::Log "$private/log";
EOF
    export APT_CONFIG="$private/etc/apt.conf"
}

# Fetch the package lists unless today's are there already (or "again" is asked).
update_lists() {
    if [ "${1:-}" != again ] && [ -n "$(find "$private/lists.done" -mmin -1440 2>/dev/null)" ]; then
        return 0
    fi
    rm -f "$private/lists.done"
    apt-get -qq update >"$private/update.log" 2>&1 || return 1
    : >"$private/lists.done"
}

# fetch COMMAND...: run an apt-get command that downloads; when it fails, once more with new lists,
# for a package may have been replaced by its security update since.
fetch() {
    if update_lists && "$@" >"$private/fetch.log" 2>&1; then return 0; fi
    if update_lists again && "$@" >"$private/fetch.log" 2>&1; then return 0; fi
    tail -n 5 "$private/update.log" "$private/fetch.log" >&2 || :
    cannot "apt-get could not fetch the packages (see the lines above)"
}

# unpack FOLDER PACKAGE...: download the packages and unpack them, without installing, into FOLDER.
unpack() {
    into=$1
    shift
    mkdir -p "$into" "$private/loose"
    rm -f "$private"/loose/*.deb
    fetch sh -c 'cd "$0" && apt-get -q download "$@"' "$private/loose" "$@"
    for deb in "$private"/loose/*.deb; do dpkg-deb -x "$deb" "$into"; done
    rm -f "$private"/loose/*.deb
}

# stamp FILE...: one hash over the files named and the host's release, to tell when to build anew.
stamp() {
    { cat "$@"; codename; dpkg --print-architecture; } | sha256sum | cut -d' ' -f1
}
