# statics.sh - no mutable statics: all state hangs on a machine.
#
# Constants are in .rodata and .data.rel.ro, which objdump names. The command
# is a host, and a signal handler finds nothing without a variable.
set -u
$MAKE -s -j2 B="$B" all || exit 1
status=0
rooms=$(cd "$B" && ls modules/*.c)
for source in lib/*.c vm/*.c stdlib/*/*.c modules.c pages.c $rooms; do
  object="$B/${source%.c}.o"
  [ -f "$object" ] && [ "$source" != vm/main_signals.c ] || continue
  found=$(objdump -t "$object" | awk '
    $0 ~ /[ \t](\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ &&
    $0 !~ /\.data\.rel\.ro/ && $(NF - 1) !~ /^0+$/ { print "  " $NF }')
  if [ -n "$found" ]; then
    echo "$object can be written to:"
    echo "$found"
    status=1
  fi
done
exit $status
