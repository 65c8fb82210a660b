// SPDX-License-Identifier: MIT

package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/cmd/trustloomd/app"
)

const configurationPage = "../../../docs/operations/configuration.md"

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// settingRow is a row of the page's table: flag, default, meaning.
var settingRow = regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)` \\| (.+?) \\| (.+) \\|$")

// quotedDefault is a default that the flag itself has; others are words about
// where the default comes from.
var quotedDefault = regexp.MustCompile("^`([^`]+)`$")

func TestThePageHasEverySettingWithItsDefault(t *testing.T) {
	want, documented := map[string]string{}, map[string]string{}
	var cfg app.Config
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	cfg.Bind(flags)
	flags.VisitAll(func(f *pflag.Flag) { want[f.Name] = strings.Trim(f.DefValue, "[]") })
	for _, row := range settingRow.FindAllStringSubmatch(readPage(t), -1) {
		documented[row[1]] = ""
		if quoted := quotedDefault.FindStringSubmatch(row[2]); quoted != nil {
			documented[row[1]] = quoted[1]
		}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("flags and their defaults (-trustloomd +%s):\n%s", configurationPage, diff)
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

func TestTheExamplesOfThePageAreConfigurations(t *testing.T) {
	blocks := yamlBlock.FindAllStringSubmatch(readPage(t), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d examples on %s, want 3 at least", len(blocks), configurationPage)
	}
	for _, block := range blocks {
		file := filepath.Join(t.TempDir(), "trustloom.yaml")
		if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		var cfg app.Config
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		cfg.Bind(flags)
		if err := flags.Parse([]string{"--config", file}); err != nil {
			t.Fatal(err)
		}
		if err := cfg.Complete(flags, func(string) string { return "" }); err != nil {
			t.Errorf("the example is refused: %v\n%s", err, block[1])
		}
	}
}
