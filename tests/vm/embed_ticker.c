/*
 * embed_ticker.c - scripts/embed/ticker.c does what it says.
 */
#define EXAMPLE "scripts/embed/ticker.c"
#define main example
#include "../../scripts/embed/ticker.c"
#undef main

#include "embed.h"
