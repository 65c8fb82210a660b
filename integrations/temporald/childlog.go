// SPDX-License-Identifier: MIT

package temporald

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	childLogLine = 16 << 10 // longer lines are cut
	childLogTail = 5        // lines kept for the error of a failed start
)

// lastWords begin the lines that say why the program ended, before the stack traces.
var lastWords = []string{"trustloom-temporal: ", "panic: ", "fatal error: "}

// childLog turns the engine's JSON lines into records of our log.
type childLog struct {
	log *slog.Logger
	// stopping makes warnings uninteresting: the services of the engine lose each other while it stops.
	stopping atomic.Bool

	mu   sync.Mutex
	last []string
}

func newChildLog(log *slog.Logger) *childLog { return &childLog{log: log} }

// copy reads to the end; it never stops early, because the child would block on a full pipe.
func (c *childLog) copy(r io.Reader) {
	reader := bufio.NewReaderSize(r, childLogLine)
	for {
		line, err := reader.ReadSlice('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			c.record(text)
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = reader.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

func (c *childLog) record(line string) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		for _, start := range lastWords {
			if strings.HasPrefix(line, start) {
				c.remember(line)
			}
		}
		c.log.Warn(line)
		return
	}
	level, message := slog.LevelWarn, line
	attributes := make([]slog.Attr, 0, len(fields))
	for name, value := range fields {
		text, _ := value.(string)
		switch name {
		case "level":
			level = childLevel(text)
		case "msg":
			message = text
		case "ts", "logging-call-at":
		default:
			attributes = append(attributes, slog.Any(name, value))
		}
	}
	if level >= slog.LevelError {
		c.remember(line)
	}
	if level == slog.LevelWarn && c.stopping.Load() {
		level = slog.LevelDebug
	}
	c.log.LogAttrs(context.Background(), level, message, attributes...)
}

func childLevel(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	case "warn":
		return slog.LevelWarn
	default: // error, dpanic, panic, fatal
		return slog.LevelError
	}
}

func (c *childLog) remember(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = append(c.last, line)
	if len(c.last) > childLogTail {
		c.last = c.last[1:]
	}
}

// tail is what the child said last.
func (c *childLog) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) == 0 {
		return "it said nothing"
	}
	return strings.Join(c.last, "; ")
}
