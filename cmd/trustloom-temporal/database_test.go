// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheSchemaIsMadeOnceAndAnotherOneIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	for range 2 {
		if err := prepareDatabase(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var mode string
	if err := db.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
	if _, err := db.Exec(`UPDATE trustloom_engine SET version = '0.1/0.1'`); err != nil {
		t.Fatal(err)
	}
	if err := prepareDatabase(t.Context(), path); err == nil || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("a database of another version: %v", err)
	}
}

func TestADatabaseThatIsNoneIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareDatabase(t.Context(), path); err == nil {
		t.Error("it was accepted")
	}
}

func TestOneServerPerDatabaseAndTheNextWaitsForIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	first, err := lockDatabase(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := lockDatabase(short, path); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second server: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		lock, err := lockDatabase(t.Context(), path)
		if err == nil {
			err = lock.Close()
		}
		second <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Errorf("the server that waited: %v", err)
	}
}
