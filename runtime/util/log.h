/*
 * Lines for people, on standard error: "mos-run: <level>: message". One line per call, written at once.
 */
#ifndef MOS_UTIL_LOG_H
#define MOS_UTIL_LOG_H

#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* What lines begin with, "mos-run" unless said. Kept, not copied. */
void log_set_name(const char *name);

/* Messages above this level are dropped. The default is LOG_INFO. */
void log_set_level(enum log_level level);

/*
 * The file descriptor's progress line, if one is on screen, is cleared first. Messages may carry what came from a
 * packet: control characters, line feeds included, become spaces. Longer than about 2,000 bytes is cut. errno stays.
 */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Show a progress line in the place of the one before it, without a line feed. Only a terminal gets it; keeping it
 * shorter than the terminal is wide is the caller's care.
 */
void log_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Clear the progress line, if one is on screen. */
void log_progress_end(void);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
