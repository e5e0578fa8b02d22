/*
 * embed_submit.c - scripts/embed/submit.c does what it says.
 */
#define EXAMPLE "scripts/embed/submit.c"
#define main example
#include "../../scripts/embed/submit.c"
#undef main

#include "embed.h"
