/*
 * embed_hello.c - scripts/embed/hello.c does what it says.
 */
#define EXAMPLE "scripts/embed/hello.c"
#define main example
#include "../../scripts/embed/hello.c"
#undef main

#include "embed.h"
