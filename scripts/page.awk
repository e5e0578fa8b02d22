# page.awk - writes the page of a module to stdout: what its page says by
# hand, and the comments beside its functions as the reference.
#
#   awk -f scripts/page.awk stdlib/net/*.lua stdlib/net/*.c doc/modules/net.md
#
# A comment that begins with `---` in Lua or `/**` in C is an entry. Its first
# paragraph is the heading, a line for each form (one that is indented goes
# on with the line before it), the rest its text:
#
#   --- async net.pair() -> Stream, Stream
#   --
#   -- Two streams connected with each other: what one writes ...
#
# In the page an entry is a heading of three `#` with the name of a function,
# and what follows it up to the next heading. Its place is kept, its words are
# taken anew, and it is dropped when there is no such comment. An entry that
# the page does not have comes behind the one before it in the same file, or
# at the end. All other headings and texts are the page's own; without a page
# there is but a title.

# == Comments ============================================================

function fail(what) {
  print FILENAME ":" FNR ": " what > "/dev/stderr"
  failed = 1
}

# The names that a heading is about, in names[1..]; gives how many.
function names_of(heading, names,    n, i, list, count) {
  gsub(/`/, "", heading)
  sub(/->.*/, "", heading)
  sub(/→.*/, "", heading)
  sub(/^async +/, "", heading)
  while (gsub(/\([^()]*\)|\[[^][]*\]|\{[^{}]*\}/, "", heading)) { }
  n = split(heading, list, /,/)
  for (i = 1; i <= n; i++) {
    gsub(/^ +| +$/, "", list[i])
    if (list[i] ~ /^[A-Za-z_][A-Za-z0-9_]*([.:][A-Za-z_][A-Za-z0-9_]*)+$/)
      names[++count] = list[i]
  }
  return count + 0
}

function begin_entry() { inside = 1; in_head = 1; heads = 0; body = "" }

function add_line(line) {
  sub(/[ \t]+$/, "", line)
  if (!in_head) {
    body = body line "\n"
  } else if (line == "") {
    in_head = 0
  } else if (line ~ /^  / && heads > 0) {
    sub(/^ +/, " ", line)
    head[heads] = head[heads] line
  } else {
    head[++heads] = line
  }
}

function end_entry(    i, text, names, key) {
  inside = 0
  if (heads == 0 || names_of(head[1], names) == 0) {
    fail("this comment begins with no name of a function: " head[1])
    return
  }
  key = names[1]
  for (i = 1; i <= heads; i++) {
    gsub(/->/, "→", head[i])
    text = text "### " head[i] "\n"
  }
  text = text "\n"
  gsub(/^\n+|\n+$/, "", body)
  if (body != "") text = text body "\n\n"
  if (!(key in entry)) {
    order[++entries] = key
    before[key] = last
  }
  entry[key] = entry[key] text
  last = key
}

FNR == 1 {
  if (inside) end_entry()
  last = ""
  kind = FILENAME
  sub(/.*\./, "", kind)
  if (name == "") {
    name = FILENAME
    sub(/\/[^\/]*$/, "", name)
    sub(/.*\//, "", name)
  }
}

kind == "lua" && !inside && /^[ \t]*---[ \t]*[^ \t-]/ { begin_entry() }
kind == "lua" && inside {
  line = $0
  if (in_head && heads > 0 && line ~ /^[ \t]*--- /) {
    sub(/^[ \t]*--- /, "", line)
    add_line(line)
  } else if (line ~ /^[ \t]*--/) {
    sub(/^[ \t]*---? ?/, "", line)
    add_line(line)
  } else {
    end_entry()
  }
}

kind == "c" && !inside && /^[ \t]*\/\*\*([ \t]|$)/ {
  begin_entry()
  line = $0
  sub(/^[ \t]*\/\*\*[ \t]*/, "", line)
  closed = sub(/[ \t]*\*\/.*/, "", line)
  if (line != "") add_line(line)
  if (closed) end_entry()
  next
}
kind == "c" && inside {
  line = $0
  closed = sub(/[ \t]*\*\/.*/, "", line)
  sub(/^[ \t]*\*? ?/, "", line)
  if (!closed || line != "") add_line(line)
  if (closed) end_entry()
}

# == The page ============================================================

kind == "md" { page[++lines] = $0 }

# Those that the page does not have follow the entry before them.
function add_entry(key,    i) {
  text = text "\n" entry[key]
  done[key] = 1
  for (i = 1; i <= entries; i++)
    if (before[order[i]] == key && !(order[i] in placed) &&
        !(order[i] in done))
      add_entry(order[i])
}

# The key of the entry whose heading the line of the page is, or "".
function key_of(line,    names) {
  if (line !~ /^### / || names_of(substr(line, 5), names) == 0) return ""
  return names[1]
}

function find_places(    i, fenced) {
  for (i = 1; i <= lines; i++) {
    if (page[i] ~ /^```/) fenced = !fenced
    if (!fenced) placed[key_of(page[i])] = 1
  }
}

# An entry of the page goes to the next heading.
function add_page(    i, key, skip, fenced) {
  for (i = 1; i <= lines; i++) {
    if (page[i] ~ /^```/) fenced = !fenced
    if (!fenced && page[i] ~ /^##?#? /) {
      key = key_of(page[i])
      skip = key != ""
      if ((key in entry) && !(key in done)) add_entry(key)
      else if (!skip) text = text "\n"
    }
    if (!skip) text = text page[i] "\n"
  }
}

END {
  if (inside) end_entry()
  if (failed) exit 1
  if (lines == 0) text = "# neap." name "\n"
  find_places()
  add_page()
  for (i = 1; i <= entries; i++)
    if (!(order[i] in done)) add_entry(order[i])
  gsub(/\n\n\n+/, "\n\n", text)
  gsub(/^\n+|\n+$/, "", text)
  print text
}
