/*
 * embed_work.c - scripts/embed/work.c does what it says.
 */
#define EXAMPLE "scripts/embed/work.c"
#define main example
#include "../../scripts/embed/work.c"
#undef main

#include "embed.h"
