// SPDX-License-Identifier: MIT

// Package app is the composition root of trustloomd: it gathers the
// configuration of every part, builds the object graph from it, and runs it.
// It is the list of what exists; nothing below it reads files of settings,
// flags or the environment.
package app

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/models"
)

// Config is everything that can be set from outside. Each field is a flag, an
// environment variable (TRUSTLOOM_ and the flag's name in capitals, with
// underscores) and a key of the configuration file; that is also the order of
// precedence.
type Config struct {
	File               string
	DataDir            string
	HTTPSAddr          string
	HTTPAddr           string
	PublicURL          string
	DatabaseURL        string
	TemporalAddress    string
	TemporalNamespace  string
	TemporalCA         string
	TemporalCert       string
	TemporalKey        string
	TemporalServerName string
	TemporalBinary     string
	Role               string
	KeyDir             string
	SealingKeyFile     string
	PayloadKeyFile     string
	PKCS11Module       string
	PKCS11Token        string
	PKCS11PINFile      string
	PKCS11PIN          string // from the environment only
	PKCS11Sessions     int
	TLSDir             string
	TLSCert            string
	TLSKey             string
	TLSNames           []string
	CRLValidity        string
	AuditKeyStore      string
	AuditHeadInterval  time.Duration
	EnrollWait         time.Duration
	TrustedProxies     []string
	AuthFailures       int
	AuthLock           time.Duration
	AuthMaxLock        time.Duration
	AuthAddressRate    int
	OperatorCA         string
	OperatorCRL        []string
	OIDCIssuer         string
	OIDCClientID       string
	OIDCClientSecret   string // file
	OIDCRedirectURL    string
	OIDCScopes         []string
	OIDCNameClaim      string
	OIDCGroupsClaim    string
	OIDCRoles          []string
	OIDCCreate         bool
	OIDCCA             string
	SessionLifetime    time.Duration
	EnrollBacklog      int
	DeviceRate         int

	AcceptOlderDatabase bool
	DeliveryLife        time.Duration
	LogLevel            string
	LogFormat           string
	Fault               string // from the environment only, see fault.go
	Version             string // of the program
}

// The roles of a process.
const (
	RoleAll    = "all"
	RoleAPI    = "api"
	RoleWorker = "worker"
)

// maxDeviceRate bounds --device-rate; a device that may do more need not be counted.
const maxDeviceRate = 1_000_000

// Bind adds the flags to fs; their values go into c.
func (c *Config) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.File, "config", "", "YAML file with these settings by flag name")
	fs.StringVar(&c.DataDir, "data-dir", "./data", "everything the embedded default keeps; created with mode 0700")
	fs.StringVar(&c.HTTPSAddr, "https-addr", "127.0.0.1:8443", "REST and EST, with TLS")
	fs.StringVar(&c.HTTPAddr, "http-addr", "127.0.0.1:8080", "CRLs and CA certificates for relying parties, without TLS")
	fs.StringVar(&c.PublicURL, "public-url", "", "base of the URLs written into certificates (default http:// and --http-addr)")
	fs.StringVar(&c.DatabaseURL, "database-url", "", "postgres://user:password@host/name (default SQLite in the data directory)")
	fs.StringVar(&c.TemporalAddress, "temporal-address", "embedded", "host:port of a Temporal cluster, or embedded")
	fs.StringVar(&c.TemporalNamespace, "temporal-namespace", "trustloom", "namespace in the Temporal cluster")
	fs.StringVar(&c.TemporalCA, "temporal-ca", "", "PEM file with the CA of an external Temporal cluster")
	fs.StringVar(&c.TemporalCert, "temporal-cert", "", "PEM file with our client certificate for it")
	fs.StringVar(&c.TemporalKey, "temporal-key", "", "PEM file with the key of --temporal-cert")
	fs.StringVar(&c.TemporalServerName, "temporal-server-name", "", "name in the cluster's certificate, if it is not its host")
	fs.StringVar(&c.TemporalBinary, "temporal-binary", "", "path of trustloom-temporal (default beside this program)")
	fs.StringVar(&c.Role, "role", RoleAll, "what this process does: all, api (REST, EST) or worker (workflows)")
	fs.StringVar(&c.KeyDir, "key-dir", "", "keys of the software store, sealed (default keys in the data directory)")
	fs.StringVar(&c.SealingKeyFile, "sealing-key-file", "", "key that seals them; created if absent (default sealing.key in the data directory)")
	fs.StringVar(&c.PayloadKeyFile, "payload-key-file", "", "key that encrypts what Temporal stores; created if absent (default payload.key in the data directory)")
	fs.StringVar(&c.PKCS11Module, "pkcs11-module", "", "PKCS#11 library; adds the key store pkcs11")
	fs.StringVar(&c.PKCS11Token, "pkcs11-token", "", "label of the token")
	fs.StringVar(&c.PKCS11PINFile, "pkcs11-pin-file", "", "file with the PIN (or TRUSTLOOM_PKCS11_PIN in the environment)")
	fs.IntVar(&c.PKCS11Sessions, "pkcs11-sessions", 8, "sessions kept open to the token")
	fs.StringVar(&c.TLSDir, "tls-dir", "", "where the server keeps the CA of its own TLS certificate (default tls in the data directory)")
	fs.StringVar(&c.TLSCert, "tls-cert", "", "PEM file with a TLS certificate and chain to be used instead")
	fs.StringVar(&c.TLSKey, "tls-key", "", "PEM file with the key of --tls-cert")
	fs.StringSliceVar(&c.TLSNames, "tls-names", nil, "further host names and addresses for the server's own TLS certificate")
	fs.StringVar(&c.CRLValidity, "crl-validity", "7d", "from thisUpdate to nextUpdate; a new CRL comes at half of it")
	fs.StringVar(&c.AuditKeyStore, "audit-key-store", "", "where the key that signs the audit log is: software or pkcs11 (default pkcs11 if there is a token)")
	fs.DurationVar(&c.AuditHeadInterval, "audit-head-interval", time.Hour, "how often the head of the audit log is signed; also at every stop")
	fs.DurationVar(&c.EnrollWait, "enroll-wait", 5*time.Second, "how long a device waits for its workflow before it is told to come back")
	c.bindAccess(fs)
	fs.BoolVar(&c.AcceptOlderDatabase, "accept-older-database", false, "start although the database was restored to an earlier state")
	fs.IntVar(&c.DeviceRate, "device-rate", 60, "how many different requests a device may begin in a minute; 0: any number")
	fs.IntVar(&c.EnrollBacklog, "enroll-backlog", 1000, "how many accepted requests may wait for a workflow engine that is away")
	fs.DurationVar(&c.DeliveryLife, "delivery-life", models.DeliveryLife, "how long a key that was made for a device can be fetched, 5m to 168h")
	fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&c.LogFormat, "log-format", "text", "text or json")
}

// Complete fills what the command line left open from the environment and the
// configuration file, sets the defaults that depend on others, and checks the
// whole. getenv is os.Getenv.
func (c *Config) Complete(fs *pflag.FlagSet, getenv func(string) string) error {
	if !fs.Changed("config") {
		c.File = getenv(envName("config"))
	}
	file, err := readFile(c.File)
	if err != nil {
		return err
	}
	var problem error
	fs.VisitAll(func(f *pflag.Flag) {
		if problem == nil && !f.Changed && f.Name != "config" {
			problem = setFrom(fs, f.Name, getenv(envName(f.Name)), file[f.Name])
		}
		delete(file, f.Name)
	})
	if problem != nil {
		return problem
	}
	for key := range file {
		return fmt.Errorf("%s: unknown setting %q; 'trustloomd serve --help' lists them", c.File, key)
	}
	c.PKCS11PIN, c.Fault = getenv("TRUSTLOOM_PKCS11_PIN"), getenv("TRUSTLOOM_FAULT")
	c.defaults()
	return c.check()
}

func envName(flag string) string {
	return "TRUSTLOOM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func setFrom(fs *pflag.FlagSet, name, env, file string) error {
	switch {
	case env != "":
		if err := fs.Set(name, env); err != nil {
			return fmt.Errorf("environment variable %s: %w", envName(name), err)
		}
	case file != "":
		if err := fs.Set(name, file); err != nil {
			return fmt.Errorf("setting %s in the configuration file: %w", name, err)
		}
	}
	return nil
}

// maxConfigFile bounds the configuration file.
const maxConfigFile = 1 << 20

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > maxConfigFile {
		return nil, fmt.Errorf("configuration %s is larger than %d bytes", path, maxConfigFile)
	}
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("parse configuration %s: %w", path, err)
	}
	settings := make(map[string]string, len(values))
	for key, value := range values {
		if list, ok := value.([]any); ok {
			parts := make([]string, len(list))
			for i := range list {
				parts[i] = fmt.Sprint(list[i])
			}
			value = strings.Join(parts, ",")
		}
		settings[key] = fmt.Sprint(value)
	}
	return settings, nil
}

func (c *Config) defaults() {
	within := func(field *string, name string) {
		if *field == "" {
			*field = filepath.Join(c.DataDir, name)
		}
	}
	within(&c.KeyDir, "keys")
	within(&c.SealingKeyFile, "sealing.key")
	within(&c.PayloadKeyFile, "payload.key")
	within(&c.TLSDir, "tls")
	if c.AuditKeyStore == "" {
		c.AuditKeyStore = models.StoreSoftware
		if c.PKCS11Module != "" {
			c.AuditKeyStore = models.StorePKCS11
		}
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.DataDir, "trustloom.db")
	}
	if c.PublicURL == "" {
		c.PublicURL = "http://" + c.HTTPAddr
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if c.TemporalBinary == "" {
		if self, err := os.Executable(); err == nil {
			c.TemporalBinary = filepath.Join(filepath.Dir(self), "trustloom-temporal")
		}
	}
}

func (c *Config) check() error {
	if !slices.Contains([]string{RoleAll, RoleAPI, RoleWorker}, c.Role) {
		return fmt.Errorf("--role %q is not one of all, api, worker", c.Role)
	}
	if c.Role != RoleAll && c.TemporalAddress == "embedded" {
		return fmt.Errorf("--role %s needs a Temporal that several processes can reach: set --temporal-address", c.Role)
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "" {
		return fmt.Errorf("--public-url %q must be http://host[:port][/path]: relying parties fetch CRLs without TLS", c.PublicURL)
	}
	if host := u.Hostname(); host == "" || net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("--public-url is needed: --http-addr %s does not say under which name relying parties reach it", c.HTTPAddr)
	}
	if c.DeviceRate < 0 || c.DeviceRate > maxDeviceRate {
		return fmt.Errorf("--device-rate must be between 0 and %d", maxDeviceRate)
	}
	if c.EnrollBacklog < 1 {
		return fmt.Errorf("--enroll-backlog must be at least 1")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("--tls-cert and --tls-key belong together")
	}
	if c.PKCS11Module != "" && c.PKCS11Token == "" {
		return fmt.Errorf("--pkcs11-module needs --pkcs11-token")
	}
	if err := c.checkAudit(); err != nil {
		return err
	}
	if _, err := models.ParseDuration(c.CRLValidity); err != nil {
		return fmt.Errorf("--crl-validity: %s", models.PublicText(err))
	}
	if err := c.checkAccess(); err != nil {
		return err
	}
	if c.DeliveryLife < models.MinDeliveryLife || c.DeliveryLife > models.MaxDeliveryLife {
		return fmt.Errorf("--delivery-life %s is not between %s and %s", c.DeliveryLife, models.MinDeliveryLife, models.MaxDeliveryLife)
	}
	for flag, addr := range map[string]string{"--https-addr": c.HTTPSAddr, "--http-addr": c.HTTPAddr} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%s %q is not host:port", flag, addr)
		}
	}
	return nil
}

// names are the hosts for which the server's own TLS certificate is made.
func (c *Config) names() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.TLSNames...)
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(c.HTTPSAddr); err == nil && host != "" && !net.ParseIP(host).IsUnspecified() {
		names = append(names, host)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
