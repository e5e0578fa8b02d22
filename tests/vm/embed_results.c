/*
 * embed_results.c - scripts/embed/results.c does what it says.
 */
#define EXAMPLE "scripts/embed/results.c"
#define main example
#include "../../scripts/embed/results.c"
#undef main

#include "embed.h"
