// SPDX-License-Identifier: MIT

package main

import (
	"debug/elf"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The agent is for small machines of several kinds. For all of them it must
// compile, and on Linux be static: such a machine may have another C library,
// or none.
func TestTheAgentIsBuiltForEveryPlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library four times")
	}
	for platform, check := range map[string]func(path string) string{
		"linux/amd64":   func(path string) string { return static(path, elf.EM_X86_64) },
		"linux/arm64":   func(path string) string { return static(path, elf.EM_AARCH64) },
		"linux/arm":     func(path string) string { return static(path, elf.EM_ARM) },
		"windows/amd64": windows,
	} {
		t.Run(platform, func(t *testing.T) {
			system, processor, _ := strings.Cut(platform, "/")
			environment := append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor)
			path := filepath.Join(t.TempDir(), "trustloom-agent")
			build := exec.Command("go", "build", "-o", path, ".")
			build.Env = environment
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if finding := check(path); finding != "" {
				t.Error(finding)
			}
			if platform == runtime.GOOS+"/"+runtime.GOARCH {
				refusesTokens(t, path)
			}
			vet := exec.Command("go", "vet", ".") // the tests for that platform, too
			vet.Env = environment
			if out, err := vet.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// refusesTokens checks that an agent without cgo says what it cannot do, and
// does everything else.
func refusesTokens(t *testing.T, program string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	for section, want := range map[string]string{"pkcs11: {module: /m, token: t}": "CGO_ENABLED=1", "": "domain is missing"} {
		if err := os.WriteFile(file, []byte("state_dir: state\n"+section+"\n"), filePerm); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "status", "--config", file)
		out, _ := cmd.CombinedOutput()
		if code := map[bool]int{true: exitTrouble, false: exitUsage}[section == ""]; cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), want) {
			t.Errorf("with %q it ended with %d, want %d, and said %q, want %q", section, cmd.ProcessState.ExitCode(), code, out, want)
		}
	}
}

// static says what is wrong with a program that is to need nothing but a
// Linux kernel on this processor.
func static(path string, machine elf.Machine) string {
	f, err := elf.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close() //nolint:errcheck // it was only read
	if f.Machine != machine {
		return "it is for " + f.Machine.String()
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return "it is linked dynamically (" + p.Type.String() + ")"
		}
	}
	return ""
}

// windows says what is wrong with a program for Windows on amd64.
func windows(path string) string {
	f, err := pe.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close() //nolint:errcheck // it was only read
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		return "it is for another processor"
	}
	return ""
}
