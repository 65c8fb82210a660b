// SPDX-License-Identifier: MIT

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor time in /proc (USER_HZ is 100 on Linux).
const tick = 10 * time.Millisecond

// processes are the two that make up a server.
type processes struct {
	server, engine int
}

// usage is the processor time that they used, in user and system mode.
type usage struct {
	server, engine time.Duration
}

func (u usage) minus(v usage) usage { return usage{u.server - v.server, u.engine - v.engine} }

func (p processes) used() (u usage, err error) {
	if u.server, err = processorTime(p.server); err == nil {
		u.engine, err = processorTime(p.engine)
	}
	return u, err
}

// memory returns the resident sets in MiB.
func (p processes) memory() (m Resident, err error) {
	if m.Server, err = residentSet(p.server); err == nil {
		m.Engine, err = residentSet(p.engine)
	}
	return m, err
}

func processorTime(pid int) (time.Duration, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	user, errUser := strconv.Atoi(fields[11])
	system, errSystem := strconv.Atoi(fields[12])
	if errUser != nil || errSystem != nil {
		return 0, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	return time.Duration(user+system) * tick, nil
}

func residentSet(pid int) (float64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(fields[21])
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20), err
}

// stat returns the fields of /proc/PID/stat after the name of the program,
// which may hold anything: the first is the state (proc(5), field 3).
func stat(pid int) ([]string, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("read the processor time of a process: %w", err)
	}
	end := strings.LastIndexByte(string(line), ')')
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	return fields, nil
}

// childNamed returns the child of a process that runs the named program.
func childNamed(parent int, program string) (int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("read the list of processes: %w", err)
	}
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := stat(pid)
		if err != nil || fields[1] != strconv.Itoa(parent) {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // cut off at 15 characters
		if err == nil && strings.HasPrefix(program, strings.TrimSpace(string(name))) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("process %d has no child %s", parent, program)
}

// ownTime is the processor time of this process.
func ownTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read our own processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
