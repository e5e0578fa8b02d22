/*
 * embed_calls.c - scripts/embed/calls.c does what it says.
 */
#define EXAMPLE "scripts/embed/calls.c"
#define main example
#include "../../scripts/embed/calls.c"
#undef main

#include "embed.h"
