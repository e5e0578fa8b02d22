# neap: `make run` shows it, `make test` proves it, `make help` lists the rest.

# == Settings: make NAME=value, or from the environment ===================

SAN     ?=
B       ?= $(if $(SAN),build/asan,build)
CFLAGS  ?= $(if $(SAN),-O1 -g,-O3 -g)
PREFIX  ?= /usr/local
DESTDIR ?=
T       ?=
V       ?=
FUZZ_SECONDS ?= 30
ifndef LUA
LUA := $(shell for p in lua5.4 lua-5.4 lua54 lua; do pkg-config --exists \
  "$$p >= 5.4" "$$p < 5.5" 2>/dev/null && echo $$p && break; done)
endif

# == What there is ========================================================

VERSION := $(shell sed -n 's/^.define NEAP_VERSION "\(.*\)"/\1/p' \
  vm/include/neap.h)
SONAME  := libneap.so.0

# A module whose package is missing is left out, the core ones never are.
CORE    := asyncio net fs process json http websocket test repl
ABSENT  := $(filter-out $(CORE),$(shell for d in stdlib/*/needs; do \
  [ ! -f $$d ] || pkg-config --exists $$(cat $$d) 2>/dev/null || \
  basename $${d%/needs}; done))
ROOMS   := $(filter-out $(ABSENT:%=stdlib/%),$(patsubst %/,%, \
  $(wildcard stdlib/*/)))
NEEDS   := $(LUA) libuv $(shell cat $(ROOMS:%=%/needs) /dev/null 2>/dev/null)

HALVES  := $(wildcard $(ROOMS:%=%/*.lua))
PAGES   := $(ROOMS:stdlib/%=$B/doc/%.md) doc/language.md doc/debugging.md
SRC     := $(wildcard lib/*.c) $(filter-out vm/main%.c,$(wildcard vm/*.c)) \
  $(wildcard $(ROOMS:%=%/*.c))
TABLES  := $(ROOMS:stdlib/%=$B/modules/%.o) $B/modules.o $B/pages.o
MAIN    := $(patsubst %.c,$B/%.o,$(wildcard vm/main*.c))
OBJ     := $(SRC:%.c=$B/%.o) $(TABLES)
TESTS   := $(patsubst %.c,$B/%,$(wildcard tests/lib/*.c tests/vm/*.c))
FUZZERS := $(patsubst %.c,$B/%,$(wildcard tests/fuzz/*.c))
CHECKS  ?= doors words headers warnings statics exports documented install \
  many collector sanitizers threads valgrind fuzz

# == How it is compiled ===================================================

# Everything is position-independent, so that libneap.so needs no second
# set; -fno-semantic-interposition makes that cost nothing.
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes
NEAPC   = $(CC) -std=c11 -D_GNU_SOURCE= -pthread -fPIC -fvisibility=hidden \
  -fno-semantic-interposition $(WARN) $(CFLAGS) $(SANFLAGS) $(CPPFLAGS)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
  -fno-omit-frame-pointer -DNP_SLAB_MALLOC)
DOOR    := -Ivm/include $(shell pkg-config --cflags $(LUA) libuv)
# What a module opens by itself when it is first used is not loaded.
LIBS    := -Wl,--as-needed $(filter-out -llua%,$(shell \
  pkg-config --libs $(NEEDS))) -lm -ldl
LUASO   := $(shell pkg-config --libs $(LUA))
LUAA    := $(filter /%,$(shell $(CC) -print-file-name=$(patsubst \
  -l%,lib%.a,$(filter -llua%,$(LUASO))) 2>/dev/null))
LUALIB  := $(or $(LUAA),$(LUASO))

# == Verbs ================================================================

all: $B/neap $B/libneap.a $B/libneap.so $B/neap.so  ## build it; V=1 shows how
run:            ## build and run the demonstration
	@sh scripts/install-deps.sh
	@$(MAKE) --no-print-directory all
	$B/neap scripts/demo.lua
test:           ## run the tests; T=net for some, SAN=address,undefined
	@sh scripts/install-deps.sh
	@$(MAKE) --no-print-directory all tests
	NEAP=$B/neap B=$B $B/neap tests/run.lua $(T)
check:          ## all that a change must pass; CHECKS="doors words" for some
	@sh scripts/install-deps.sh --check
	@B=$B CC="$(CC)" LUA=$(LUA) MAKE="$(MAKE)" sh scripts/check.sh $(CHECKS)
fuzz:           ## fuzz each parser for FUZZ_SECONDS=30
	@sh scripts/install-deps.sh --check
	@B=$B MAKE="$(MAKE)" sh scripts/fuzz.sh $(FUZZ_SECONDS) $(T)
bench:          ## measure against the limit programs and the peers
	@sh scripts/install-deps.sh --check
	@$(MAKE) --no-print-directory all
	NEAP=$B/neap B=$B CC="$(CC)" sh scripts/bench/run.sh $(T)
clean:          ## remove what was built
	rm -rf $B
docs: $(PAGES)  ## bring doc/modules up to date with the comments
	@for p in $(filter $B/%,$^); do to=doc/modules/$${p##*/}; \
	  cmp -s $$p $$to || cp $$p $$to || exit 1; done
format:         ## indent the C files as .clang-format says
	clang-format -i $(wildcard lib/*.[ch] vm/*.[ch] vm/include/*.h \
	  stdlib/*/*.[ch] tests/*/*.[ch])
help:           ## show this list
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' Makefile
tests: $(TESTS)
fuzzers: $(FUZZERS)
.PHONY: all run test check fuzz bench docs clean format help tests fuzzers \
  install uninstall FORCE

# == Rules ================================================================

# Said instead of a command; with V=1 make shows that, with -s nothing.
SAY = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo '  $1';)

$B/neap: $(MAIN) $(OBJ) $B/rooms
	$(call SAY,LINK $@)$(NEAPC) -rdynamic -o $@ $(filter %.o,$^) \
	  $(LUALIB) $(LIBS)
$B/libneap.a: $(OBJ) $B/rooms
	$(call SAY,AR $@)rm -f $@ && $(AR) rcs $@ $(OBJ)
$B/libneap.so: $(OBJ) $B/rooms
	$(call SAY,LINK $@)$(NEAPC) -shared -Wl,-soname,$(SONAME) -o $@ \
	  $(OBJ) $(LUASO) $(LIBS)
# For lua itself, whose Lua it uses; it stays when a state is closed, because
# threads of libuv may.
$B/neap.so: $(OBJ) $B/rooms scripts/neap.map
	$(call SAY,LINK $@)$(NEAPC) -shared -Wl,-z,nodelete \
	  -Wl,--version-script=scripts/neap.map -o $@ $(OBJ) $(LIBS)
$(filter $B/tests/lib/%,$(TESTS)): %: %.o $B/libneap.a
	$(call SAY,LINK $@)$(NEAPC) -o $@ $^
$(filter $B/tests/vm/%,$(TESTS)): %: %.o $B/libneap.a
	$(call SAY,LINK $@)$(NEAPC) -rdynamic -o $@ $^ $(LUALIB) $(LIBS)
$(FUZZERS): %: %.o $B/libneap.a
	$(call SAY,LINK $@)$(NEAPC) -fsanitize=fuzzer -o $@ $^ $(LUALIB) \
	  $(LIBS)

$B/lib/%.o: MAY = -Ilib
$B/vm/%.o: MAY = -Ilib $(DOOR)
$(MAIN): MAY = $(DOOR)
$B/stdlib/%.o: MAY = -Ilib $(DOOR) $(shell \
  pkg-config --cflags libuv $$(cat $(<D)/needs 2>/dev/null))
$(TABLES): MAY = $(DOOR) -Wno-overlength-strings
$B/tests/lib/%.o: MAY = -Ilib
$B/tests/vm/%.o: MAY = $(DOOR)
$B/tests/fuzz/%.o: MAY = -Ilib $(DOOR)

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call SAY,CC $<)$(NEAPC) $(MAY) -MMD -MP -c -o $@ $<
$(TABLES): %.o: %.c $B/flags
	$(call SAY,CC $<)$(NEAPC) $(MAY) -MMD -MP -c -o $@ $<
$B/modules.c: scripts/embed.sh $B/rooms
	$(call SAY,GEN $@)sh scripts/embed.sh --all $(ROOMS) > $@.new && \
	  mv $@.new $@
$B/pages.c: scripts/embed.sh $B/rooms $(PAGES)
	$(call SAY,GEN $@)sh scripts/embed.sh --pages $(PAGES) > $@.new && \
	  mv $@.new $@
$(ROOMS:stdlib/%=$B/modules/%.c): $B/modules/%.c: scripts/embed.sh $B/rooms \
  $(HALVES)
	@mkdir -p $(@D)
	$(call SAY,GEN $@)sh scripts/embed.sh stdlib/$* > $@.new && \
	  mv $@.new $@

# A page is what doc/modules/ has, with the comments beside the functions;
# those of asyncio's C half are in vm/.
BESIDE_asyncio = vm/*.c
.SECONDEXPANSION:
$B/doc/%.md: scripts/page.awk $$(wildcard stdlib/$$*/*.lua stdlib/$$*/*.c \
  $$(BESIDE_$$*) doc/modules/$$*.md)
	@mkdir -p $(@D)
	$(call SAY,GEN $@)awk -f $^ > $@.new && mv $@.new $@

# Written anew when what they hold changes; what depends on it is rebuilt.
$B/flags: SAYS = $(NEAPC)
$B/rooms: SAYS = $(OBJ) $(HALVES)
$B/flags $B/rooms: FORCE
	$(if $(LUA),,$(error Lua 5.4 is missing: run scripts/install-deps.sh))
	@mkdir -p $B
	@echo '$(SAYS)' | cmp -s - $@ || echo '$(SAYS)' > $@

-include $(OBJ:.o=.d) $(MAIN:.o=.d) $(TESTS:=.d) $(FUZZERS:=.d)

# == Installing ===========================================================

BIN := $(DESTDIR)$(PREFIX)/bin
LIB := $(DESTDIR)$(PREFIX)/lib
LUA_CMOD ?= $(PREFIX)/lib/lua/5.4
INC := $(DESTDIR)$(PREFIX)/include
MAN := $(DESTDIR)$(PREFIX)/share/man/man1
DOC := $(DESTDIR)$(PREFIX)/share/doc/neap
# Where the links of the pages lead once they are there.
MOVED := -e 's|](doc/neap\.1)|](../../man/man1/neap.1)|' -e 's|](doc/|](|g' \
  -e 's|](\(\.\./\)*scripts/[a-z]*|](examples|g' \
  -e 's|](\(\.\./\)*vm/include/|](../../../include/|g'

install: all    ## install below PREFIX=/usr/local; DESTDIR= is put before
	install -d $(BIN) $(LIB)/pkgconfig $(INC) $(MAN) $(DOC)/modules \
	  $(DOC)/examples
	install -m 755 $B/neap $(BIN)/neap
	install -m 644 $B/libneap.a $(LIB)/libneap.a
	install -m 755 $B/libneap.so $(LIB)/libneap.so.$(VERSION)
	ln -sf libneap.so.$(VERSION) $(LIB)/$(SONAME)
	ln -sf $(SONAME) $(LIB)/libneap.so
	install -d $(DESTDIR)$(LUA_CMOD)
	install -m 755 $B/neap.so $(DESTDIR)$(LUA_CMOD)/neap.so
	install -m 644 vm/include/neap.h $(INC)/neap.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@LUA@|$(LUA)|' -e 's|@NEEDS@|$(filter-out $(LUA),$(NEEDS))|' \
	  scripts/neap.pc.in > $(LIB)/pkgconfig/neap.pc
	install -m 644 doc/neap.1 $(MAN)/neap.1
	@for f in README.md doc/*.md; do sed $(MOVED) $$f > $(DOC)/$${f##*/} && \
	  chmod 644 $(DOC)/$${f##*/} || exit 1; done
	@for f in $(wildcard doc/modules/*.md); do \
	  install -m 644 $$f $(DOC)/modules; done
	@for f in $(wildcard scripts/*.lua scripts/examples/*.lua \
	  scripts/embed/*.c); do install -m 644 $$f $(DOC)/examples; done
uninstall:      ## remove what install put there
	rm -f $(BIN)/neap $(LIB)/libneap.a $(LIB)/libneap.so* $(INC)/neap.h \
	  $(LIB)/pkgconfig/neap.pc $(MAN)/neap.1 $(DESTDIR)$(LUA_CMOD)/neap.so
	rm -rf $(DOC)
