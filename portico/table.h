/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: titles, aligned columns, nothing a peer sent can steer the terminal. Rows are
 * gathered a few hundred at a time to find the widths, which then only grow, so a list of any
 * length takes bounded memory and is printed as it is read. Embedded in the command that prints;
 * its thread. */
#ifndef PORTICO_COMMAND_TABLE_H
#define PORTICO_COMMAND_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"

enum { TABLE_COLUMNS_MAX = 10, TABLE_ROWS_GATHERED = 256 };

struct table {
    FILE *out;                 /* borrowed */
    const char *const *titles; /* borrowed, one for each column */
    size_t columns;
    char **cells; /* of the rows gathered, owned */
    size_t filled;
    size_t widths[TABLE_COLUMNS_MAX]; /* in characters */
    bool has_titles;                  /* they are printed */
    bool is_broken;                   /* no memory for a cell */
};

/* 0 or -ENOMEM; table_end() is due in either case. */
MUST_CHECK int table_begin(struct table *table, FILE *out, const char *const *titles,
                           size_t columns);
/* The next cell, row by row. Long text is cut at 4 KiB. */
void table_put(struct table *table, struct str text);
PRINTF_LIKE(2, 3) void table_printf(struct table *table, const char *format, ...);
/* "2026-05-01T12:34:56Z", "-" for 0. */
void table_put_time(struct table *table, usec_t time);
/* Number of bytes and the first of them in hexadecimal. */
void table_put_bytes(struct table *table, struct str bytes);

/* Print what is left; `none` instead of the titles when there was no row. 0, -ENOMEM: cells are
 * missing, or -EIO: the stream failed. */
MUST_CHECK int table_end(struct table *table, const char *none);

/* What somebody else wrote, for a terminal: line ends, controls and bytes that are no text are
 * escaped, quotes and backslashes stay. */
void text_print(FILE *out, struct str text);

enum { TIME_TEXT_SIZE = 32 };
/* As table_put_time(). Returns `text`. */
char *time_format(usec_t time, char text[TIME_TEXT_SIZE]);
/* "5 s ago", "3 min ago", "in 2 h"; as rough as people speak. */
char *time_format_distance(usec_t time, usec_t now, char text[TIME_TEXT_SIZE]);

#endif
