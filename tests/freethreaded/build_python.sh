#!/bin/sh
# Build free-threaded CPython 3.13 (no GIL) from Debian's source package into a prefix; Debian ships no such binary.
#
#   tests/freethreaded/build_python.sh PREFIX [WORK_DIRECTORY]
#
# On Debian or a derivative, with a C compiler. As root it installs the missing headers; else it names them. The
# machine's apt sources stay as they are: the suite with the source package is looked up through lists of its own,
# from the mirror that the machine already uses. Neither PGO nor LTO: three minutes on two cores instead of twenty.
# SUITE=trixie names the suite, JOBS=2 the processes of make.
set -eu

PREFIX=${1:?usage: build_python.sh PREFIX [WORK_DIRECTORY]}
WORK=${2:-$(mktemp -d)}
SUITE=${SUITE:-trixie}
JOBS=${JOBS:-$(nproc)}
HEADERS="libssl-dev libffi-dev zlib1g-dev libbz2-dev liblzma-dev libsqlite3-dev"

if [ -x "$PREFIX/bin/python3" ] && "$PREFIX/bin/python3" -c 'import sys; sys.exit(sys._is_gil_enabled())'; then
    echo "$PREFIX: $("$PREFIX/bin/python3" -VV) is there already"
    exit 0
fi

mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial"
MIRROR=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
: "${MIRROR:?build_python.sh: no Debian mirror among the apt sources of this machine}"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $SUITE main" > "$WORK/apt/sources.list"
apt() {
    apt-get -q -o Dir::Etc::SourceList="$WORK/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$WORK/apt/lists" -o Dir::Cache="$WORK/apt/cache" -o APT::Sandbox::User=root "$@"
}

missing=$(for header in $HEADERS; do dpkg -s "$header" > /dev/null 2>&1 || echo "$header"; done)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # a list of words
    if [ "$(id -u)" = 0 ]; then
        apt-get -q update
        DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends $missing
    else
        echo "build_python.sh: install these first:" $missing >&2
        exit 1
    fi
fi

apt update
cd "$WORK"
# Unpacked by hand, so without Debian's own patches, which are for its layout of files. apt checks the hashes.
apt source --download-only python3.13
rm -rf source && mkdir source
tar -xf python3.13_*.orig.tar.xz -C source --strip-components=1
cd source
CFLAGS="-O2 -g" ./configure --quiet --prefix="$PREFIX" --disable-gil --with-ensurepip=install --disable-test-modules
make --quiet -j "$JOBS"
make --quiet install > "$WORK/install.log" || { tail -n 30 "$WORK/install.log" >&2; exit 1; }
"$PREFIX/bin/python3" -VV
