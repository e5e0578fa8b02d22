#!/bin/sh
# install-deps.sh - sees that the packages neap stands on are there.
#
#   sh scripts/install-deps.sh            what `make` and `make test` need
#   sh scripts/install-deps.sh --check    and what `make check` needs
#
# Does nothing, at once, when everything is found. On Debian and its kin it
# installs what is missing, with sudo if you are not root; elsewhere it says
# what to install. Fails only if neap cannot be built.
set -u

found() { command -v "$1" >/dev/null 2>&1; }
package() { pkg-config --exists "$@" 2>/dev/null; }
lua() {
  for p in lua5.4 lua-5.4 lua54 lua; do
    package "$p >= 5.4" "$p < 5.5" && return
  done
  return 1
}

# The Debian package behind a pkg-config name of a stdlib/*/needs.
debian() {
  case $1 in
    openssl|libssl|libcrypto) echo libssl-dev ;;
    zlib) echo zlib1g-dev ;;
    libbrotli*) echo libbrotli-dev ;;
    libcares) echo libc-ares-dev ;;
    sqlite3) echo libsqlite3-dev ;;
    lib*) echo "$1-dev" ;;
    *) echo "lib$1-dev" ;;
  esac
}

missing() {
  found cc || echo gcc
  found make || echo make
  found pkg-config || echo pkg-config
  lua || echo liblua5.4-dev
  package libuv || echo libuv1-dev
  for need in $(cat stdlib/*/needs 2>/dev/null); do
    package "$need" || debian "$need"
  done
  # neap.net is built without these too, but then it has no TLS, no MX ...
  for need in openssl libcares; do
    package "$need" || debian "$need"
  done
  found openssl || echo openssl # the tests make certificates with it
  [ "$1" = --check ] || return 0
  found gcc || echo gcc
  found g++ || echo g++
  found clang || echo clang
  found nm || echo binutils
  found valgrind || echo valgrind
  found lua5.4 || echo lua5.4
  # tests/stdlib/net talks to these
  found curl || echo curl
  found socat || echo socat
  found nc || echo netcat-openbsd
  found dnsmasq || [ -x /usr/sbin/dnsmasq ] || echo dnsmasq-base
  clang_runtime || echo libclang-rt-dev
}

# Some releases have the sanitizers of clang in a package of their own.
clang_runtime() {
  found clang || return 1
  file=$(clang -print-file-name="libclang_rt.asan-$(uname -m).a" 2>/dev/null)
  [ -f "$file" ] || [ -f "$(clang -print-resource-dir)/lib/linux/$(basename \
    "$file")" ] || [ "$(uname)" != Linux ]
}

install() {
  sudo=
  if [ "$(id -u)" != 0 ]; then sudo="sudo"; found sudo || return 1; fi
  echo "neap: installing $*"
  $sudo apt-get update -qq </dev/null
  for name in "$@"; do
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends "$name" </dev/null >/dev/null ||
      echo "neap: could not install $name" >&2
  done
}

say() {
  cat >&2 <<END
neap: missing (by their Debian names): $*
Install them with your system's own tool, for example
  Debian, Ubuntu  apt-get install gcc make pkg-config liblua5.4-dev libuv1-dev
  Fedora          dnf install gcc make pkgconf lua-devel lua-static libuv-devel
  Arch            pacman -S base-devel lua54 libuv
  Alpine          apk add build-base pkgconf lua5.4-dev libuv-dev
  macOS           brew install pkg-config lua@5.4 libuv
END
}

cd "$(dirname "$0")/.." || exit 1
wanted=$(missing "${1-}" | sort -u | tr '\n' ' ')
[ -n "$wanted" ] || exit 0
# The words are package names, to be split.
if found apt-get; then install $wanted; fi
wanted=$(missing "${1-}" | sort -u | tr '\n' ' ')
[ -n "$wanted" ] || exit 0
say $wanted
found cc && found make && found pkg-config && lua && package libuv || exit 1
