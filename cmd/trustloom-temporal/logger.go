// SPDX-License-Identifier: MIT

package main

import (
	"strings"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// nexusNotice begins an advice that Temporal gives at each start: to open a port that we keep closed.
const nexusNotice = "HTTP API port has not been set"

// logger writes JSON lines to standard error.
type logger struct{ log.Logger }

func newLogger(level string) log.Logger {
	return logger{log.NewZapLogger(log.BuildZapLogger(log.Config{Level: level, Format: "json"}))}
}

// Warn implements log.Logger.
func (l logger) Warn(message string, tags ...tag.Tag) {
	if !strings.HasPrefix(message, nexusNotice) {
		l.Logger.Warn(message, tags...)
	}
}

// With implements log.WithLogger.
func (l logger) With(tags ...tag.Tag) log.Logger { return logger{log.With(l.Logger, tags...)} }
