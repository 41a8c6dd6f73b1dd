#include "base/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct trace trace_of(struct trace_log *log, const char *who)
{
    struct trace trace = {.log = log};
    snprintf(trace.who, sizeof trace.who, "%s", who);
    return trace;
}

struct trace trace_part(const struct trace *trace, const char *part)
{
    struct trace made = {.log = trace->log};
    snprintf(made.who, sizeof made.who, "%.24s.%.14s", trace->who, part);
    return made;
}

void trace_line(const struct trace *trace, nanotime now, const char *format, ...)
{
    struct text *text = &trace->log->text;
    size_t start = text->len;
    text_printf(text, "%4" PRId64 ".%06" PRId64 " %-16s ", now / TIME_S, now % TIME_S / 1000,
                trace->who);
    va_list args;
    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
    text_one_line(text->at + start, text->len - start);
    text_put(text, "\n");
    if (trace->log->live_fd < 0)
        return;
    ssize_t ignored = write(trace->log->live_fd, text->at + start, text->len - start);
    (void)ignored;
}
