# What the commands in script/ share.  To be sourced by bash, with `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
command_name=script/$(basename "$0")

say()
{
	printf '%s\n' "$*"
}

fail()
{
	printf '%s: %s\n' "$command_name" "$*" >&2
	exit 1
}

# What was asked for is not to be had on this system: another exit code than a failure's.
cannot()
{
	printf '%s: cannot: %s\n' "$command_name" "$*" >&2
	exit 77
}

# Where what is expensive to get is kept between runs.
cache_dir()
{
	printf '%s\n' "${TARN_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/tarn}"
}

is_root()
{
	[ "$(id -u)" = 0 ]
}

# PostgreSQL refuses to run as root: then everything that runs a server is the user postgres's.
server_user()
{
	if is_root; then printf 'postgres\n'; else id -un; fi
}

as_server()
{
	if is_root; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# pg_config has the headers and PGXS of PostgreSQL 15 or later?
usable_pg_config()
{
	local version

	[ -x "$1" ] || return 1
	version=$("$1" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
	[ "${version:-0}" -ge 15 ] && [ -f "$("$1" --pgxs)" ] && [ -f "$("$1" --includedir-server)/postgres.h" ] &&
		[ -x "$("$1" --bindir)/postgres" ]
}

# Prints the pg_config to use: the one given, PG_CONFIG, that of the PATH, or Debian's newest; fails when there is none.
find_pg_config()
{
	local candidate

	if [ -n "${1:-}" ]; then
		usable_pg_config "$1" || return 1
		printf '%s\n' "$1"
		return
	fi
	for candidate in "${PG_CONFIG:-}" "$(command -v pg_config || true)" \
		$(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV); do
		# Debian's pg_config in /usr/bin speaks of the client library; its directories tell
		if [ -n "$candidate" ] && usable_pg_config "$candidate"; then
			printf '%s\n' "$candidate"
			return
		fi
	done
	return 1
}

# Prints the pg_config of major version $1 that is installed here, or fails.
find_pg_version()
{
	local candidate

	for candidate in "${PG_CONFIG:-}" "$(command -v pg_config || true)" "/usr/lib/postgresql/$1/bin/pg_config"; do
		if [ -n "$candidate" ] && is_pg_version "$candidate" "$1"; then
			printf '%s\n' "$candidate"
			return
		fi
	done
	return 1
}

# Is $1 a usable pg_config of major version $2?
is_pg_version()
{
	usable_pg_config "$1" || return 1
	case $("$1" --version) in
		"PostgreSQL $2"[!0-9]*) return 0 ;;
		*) return 1 ;;
	esac
}

# Can apt install this package?
apt_has()
{
	command -v apt-cache >/dev/null && apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [0-9]' >/dev/null
}

# Lists older than a day may name packages that the mirror has replaced.
refresh_lists()
{
	if is_root && [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
		apt-get update -q
	fi
}

# Is the directory (or the nearest one above it that exists) writable for us?
can_write()
{
	local dir=$1

	while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
	[ -w "$dir" ]
}

# Copies the sources (no .git, nothing built) to a directory; a file that did not change keeps its time there.
copy_sources()
{
	local to=$1 f

	mkdir -p "$to"
	(cd "$root" && find . \( -name .git -o -name build -o -name __pycache__ -o -path ./demo -o -path ./tmp_check \) -prune -o \
		-type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -name '*.d' -print | LC_ALL=C sort) >"$to/.sources.new"
	# what is gone from the sources must not linger in the copy
	if [ -f "$to/.sources" ]; then
		LC_ALL=C comm -23 "$to/.sources" "$to/.sources.new" | (cd "$to" && xargs -r -d '\n' rm -f)
	fi
	while read -r f; do
		cmp -s "$root/$f" "$to/$f" || { mkdir -p "$(dirname "$to/$f")" && cp "$root/$f" "$to/$f"; }
	done <"$to/.sources.new"
	mv "$to/.sources.new" "$to/.sources"
}

# A relocatable copy of a server installation below $2, for an extension that must not reach the
# system's; prints its pg_config.  PostgreSQL finds its directories relative to its programs.
private_server()
{
	local from=$1 to=$2 dir

	for dir in "$("$from" --bindir)" "$("$from" --pkglibdir)" "$("$from" --sharedir)"; do
		mkdir -p "$to$dir"
		cp -a "$dir/." "$to$dir/"
	done
	dir=$("$from" --includedir-server)
	mkdir -p "$to$(dirname "$dir")"
	ln -sfn "$dir" "$to$dir"
	for dir in "$("$from" --includedir)" "$("$from" --pkgincludedir)"; do
		[ -e "$to$dir" ] || { mkdir -p "$(dirname "$to$dir")"; ln -sfn "$dir" "$to$dir"; }
	done
	printf '%s\n' "$to$("$from" --bindir)/pg_config"
}

# Does this server know the setting that names the output plugins it may load?
knows_output_plugin_libraries()
{
	# not grep -q: it would close the pipe on the server
	"$1/postgres" --describe-config | cut -f1 | grep -x output_plugin_libraries >/dev/null
}
