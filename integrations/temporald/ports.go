// SPDX-License-Identifier: MIT

package temporald

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// portPatience is how long a kept port may still be held by a predecessor that is about to stop.
const portPatience = 3 * time.Second

// ports is what is remembered between starts, so that an operator finds the engine where it was.
type ports struct {
	Frontend int `json:"frontend"`
}

// pickPort returns the port of the last start if it is free, or another one, and remembers it.
func pickPort(ctx context.Context, file string) (int, error) {
	if kept, err := readPorts(file); err == nil && awaitPort(ctx, kept.Frontend) {
		return kept.Frontend, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return port, writePorts(file, ports{Frontend: port})
}

func awaitPort(ctx context.Context, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, portPatience)
	defer cancel()
	return retry(ctx, func() (bool, error) {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false, err
		}
		return true, listener.Close()
	}) == nil
}

func readPorts(file string) (ports, error) {
	var kept ports
	data, err := os.ReadFile(file)
	if err != nil {
		return kept, err
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		return kept, err
	}
	if kept.Frontend < 1 || kept.Frontend > 65535 {
		return kept, errors.New("no port")
	}
	return kept, nil
}

func writePorts(file string, kept ports) error {
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	fresh := filepath.Join(filepath.Dir(file), ".ports.json")
	if err := os.WriteFile(fresh, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember the port: %w", err)
	}
	return os.Rename(fresh, file)
}
