// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func TestTheCommandLineIsCheckedBeforeAnythingIsTouched(t *testing.T) {
	good := []string{"--db", "t.db", "--tls-dir", "tls"}
	cases := map[string]struct {
		args []string
		want string // in the error; "" if it is accepted
	}{
		"the least that is needed":        {good, ""},
		"IPv6 loopback":                   {append(good, "--frontend-addr", "[::1]:7233"), ""},
		"no database":                     {[]string{"--tls-dir", "tls"}, "--db is missing"},
		"no TLS material":                 {[]string{"--db", "t.db"}, "--tls-dir is missing"},
		"an address others can reach":     {append(good, "--frontend-addr", "192.0.2.1:7233"), "not a loopback address"},
		"all addresses":                   {append(good, "--frontend-addr", "0.0.0.0:7233"), "not a loopback address"},
		"a name instead of an address":    {append(good, "--frontend-addr", "localhost:7233"), "not an IP address"},
		"an address without a port":       {append(good, "--frontend-addr", "127.0.0.1"), "not an address and a port"},
		"a retention that is too short":   {append(good, "--retention", "1m"), "too short"},
		"no namespace":                    {append(good, "--namespace", ""), "must not be empty"},
		"a log level that does not exist": {append(good, "--log-level", "loud"), "not one of"},
		"something that is no flag":       {append(good, "start"), `unexpected argument "start"`},
		"a flag that does not exist":      {append(good, "--frontend", "x"), "not defined"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(test.args, &bytes.Buffer{})
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v does not say %q", err, test.want)
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, word := range []string{"trustloomd", "Usage:", "-db", "-exit-with-parent", "client certificate", "visibility is off"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the help does not mention %q", word)
		}
	}
}

func TestTheDefaultsAreLoopbackAndAWeek(t *testing.T) {
	o, err := parseOptions([]string{"--db", "t.db", "--tls-dir", "tls"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if !o.Frontend.Addr().IsLoopback() || o.Retention != 7*24*time.Hour || o.Namespace != "trustloom" || !strings.HasPrefix(o.Database, "/") {
		t.Errorf("%+v", o)
	}
}
