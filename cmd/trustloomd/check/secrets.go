// SPDX-License-Identifier: MIT

package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Secret is something that must not be found.
type Secret struct {
	Name  string // what it is; the report says no more
	Value []byte
}

// window is how much of a file is searched at a time.
const window = 1 << 20

// secrets searches the files for the secrets.
func (c *checker) secrets(ctx context.Context) error {
	overlap := 0
	for _, s := range c.Secrets {
		if len(s.Value) < 8 {
			return fmt.Errorf("%s is too short to be looked for", s.Name)
		}
		overlap = max(overlap, len(s.Value)-1)
	}
	if len(c.Secrets) == 0 {
		return nil
	}
	for _, name := range c.Files {
		found, err := c.search(ctx, name, overlap)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a log that was rotated, a WAL that was folded in
		}
		if err != nil {
			return err
		}
		for secret := range found {
			c.broken(secrecy, "file "+name, "it holds %s", secret)
		}
		c.looked("files", 1)
	}
	return nil
}

// search returns the names of the secrets that are in a file.
func (c *checker) search(ctx context.Context, name string, overlap int) (map[string]bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	found, r := map[string]bool{}, bufio.NewReaderSize(f, window)
	buffer := make([]byte, 0, window+overlap)
	for ctx.Err() == nil {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		for _, s := range c.Secrets {
			if bytes.Contains(buffer, s.Value) {
				found[s.Name] = true
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		kept := copy(buffer, buffer[len(buffer)-overlap:])
		buffer = buffer[:kept]
	}
	return nil, ctx.Err()
}

// ReadSecret returns the content of a file, without surrounding white space,
// as a secret to be looked for.
func ReadSecret(name string) (Secret, error) {
	value, err := os.ReadFile(name)
	if err != nil {
		return Secret{}, fmt.Errorf("read a secret to be looked for: %w", err)
	}
	return Secret{Name: "the secret of " + name, Value: bytes.TrimSpace(value)}, nil
}
