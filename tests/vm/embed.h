/*
 * embed.h - runs an example of scripts/embed as a test.
 *
 * A test defines EXAMPLE as its path, includes it with `main` renamed to
 * `example`, and then this. The example must end with 0 and print the lines
 * that its opening comment has after `-->`.
 */
#ifndef EMBED_H
#define EMBED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EMBED_MAX = 65536 };

static size_t embed_read(FILE *file, char *text) {
  size_t n = fread(text, 1, EMBED_MAX - 1, file);
  text[n] = '\0';
  return n;
}

/* Puts what stands after each `--> ` into `lines`. */
static void embed_expected(const char *source, char *lines) {
  const char *at = source;
  *lines = '\0';
  while ((at = strstr(at, "--> ")) != NULL) {
    size_t n = strcspn(at += 4, "\n");
    strncat(lines, at, n + 1);
  }
}

/* Runs the example with stdout in a file, which it returns. */
static FILE *embed_run(int *status) {
  FILE *output = tmpfile();
  int saved = dup(STDOUT_FILENO);
  if (output == NULL || saved < 0) abort();
  (void)fflush(stdout);
  if (dup2(fileno(output), STDOUT_FILENO) < 0) abort();
  *status = example();
  (void)fflush(stdout);
  if (dup2(saved, STDOUT_FILENO) < 0) abort();
  close(saved);
  rewind(output);
  return output;
}

int main(void) {
  static char source[EMBED_MAX], expected[EMBED_MAX], got[EMBED_MAX];
  int status;
  FILE *file = fopen(EXAMPLE, "r"), *output;
  if (file == NULL) {
    printf("%s cannot be read: run the tests from the top\n", EXAMPLE);
    return 1;
  }
  (void)embed_read(file, source);
  fclose(file);
  embed_expected(source, expected);
  output = embed_run(&status);
  (void)embed_read(output, got);
  fclose(output);
  if (status == 0 && *expected != '\0' && strcmp(expected, got) == 0)
    return 0;
  printf("%s: status %d\nexpected:\n%sgot:\n%s", EXAMPLE, status, expected,
         got);
  return 1;
}

#endif
