// SPDX-License-Identifier: MIT

package temporald_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

func TestEveryPortOfTheEngineIsOnLoopbackAndDemandsTheRightCertificate(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	dir := filepath.Join(cfg.DataDir, "temporal", "tls")
	ours, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	addresses := listeners(t, engine.Pid())
	if len(addresses) != 5 { // frontend, internal frontend, history, matching, worker
		t.Errorf("the engine listens on %v: 5 ports were expected", addresses)
	}
	welcome := 0
	for _, address := range addresses {
		if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
			t.Errorf("%s is not on loopback", address)
		}
		if err := speak(address, nil); err == nil {
			t.Errorf("%s answers without TLS", address)
		}
		for who, certificates := range map[string][]tls.Certificate{
			"nobody": nil, "a stranger": {stranger(t)}, "the engine's own server certificate": {server}} {
			if err := speak(address, &tls.Config{InsecureSkipVerify: true, Certificates: certificates}); err == nil {
				t.Errorf("%s answers to %s", address, who)
			}
		}
		if err := speak(address, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ours}}); err == nil {
			welcome++
		}
	}
	if welcome != 1 {
		t.Errorf("%d ports answer to the application: only the frontend should", welcome)
	}
}

// speak says hello in HTTP/2, over TLS if config is given, and succeeds if it is answered in HTTP/2.
func speak(address string, config *tls.Config) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if config != nil {
		config.NextProtos = []string{"h2"}
		conn = tls.Client(conn, config)
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	frame := make([]byte, 9)
	if _, err := io.ReadFull(conn, frame); err != nil {
		return err
	}
	if frame[3] != 4 { // SETTINGS
		return errors.New("not HTTP/2")
	}
	return nil
}

// stranger is a good client certificate, of somebody else.
func stranger(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "trustloom"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// listeners finds the TCP addresses a process listens on, as the kernel tells it.
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skip("no /proc here")
	}
	inodes := map[string]bool{}
	for _, descriptor := range descriptors {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, descriptor.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && inodes[fields[9]] { // listening, and its own
				found = append(found, kernelAddress(t, fields[1]))
			}
		}
	}
	return found
}

func kernelAddress(t *testing.T, text string) string {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	if host == "0100007F" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10))
}

func TestTheApplicationMayOnlyWhatItNeeds(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	service := engine.Client().WorkflowService()
	ctx, ns := t.Context(), "trustloom"
	execution := &commonpb.WorkflowExecution{WorkflowId: "w"}
	kind := &commonpb.WorkflowType{Name: "x"}
	queue := &taskqueuepb.TaskQueue{Name: "q"}
	denied := map[string]func() error{
		"register a namespace": func() error {
			_, err := service.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{Namespace: "more"})
			return err
		},
		"change its namespace": func() error {
			_, err := service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{Namespace: ns})
			return err
		},
		"look at Temporal's own namespace": func() error {
			_, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "temporal-system"})
			return err
		},
		"list the namespaces": func() error {
			_, err := service.ListNamespaces(ctx, &workflowservice.ListNamespacesRequest{})
			return err
		},
		"reset a workflow": func() error {
			_, err := service.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{Namespace: ns, WorkflowExecution: execution})
			return err
		},
		"delete a workflow": func() error {
			_, err := service.DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{Namespace: ns, WorkflowExecution: execution})
			return err
		},
		"start a batch operation": func() error {
			_, err := service.StartBatchOperation(ctx, &workflowservice.StartBatchOperationRequest{Namespace: ns, JobId: "j"})
			return err
		},
		"configure the compute of a worker deployment": func() error {
			_, err := service.UpdateWorkerDeploymentVersionComputeConfig(ctx, &workflowservice.UpdateWorkerDeploymentVersionComputeConfigRequest{Namespace: ns})
			return err
		},
		"validate the compute of a worker deployment": func() error {
			_, err := service.ValidateWorkerDeploymentVersionComputeConfig(ctx, &workflowservice.ValidateWorkerDeploymentVersionComputeConfigRequest{Namespace: ns})
			return err
		},
		"start a workflow of Temporal's own workers": func() error {
			_, err := service.StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{Namespace: ns, WorkflowId: "w", RequestId: "r",
				WorkflowType: kind, TaskQueue: &taskqueuepb.TaskQueue{Name: "temporal-sys-per-ns-tq"}})
			return err
		},
		"have the server call back": func() error {
			_, err := service.StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{Namespace: ns, WorkflowId: "w", RequestId: "r",
				WorkflowType: kind, TaskQueue: queue, CompletionCallbacks: []*commonpb.Callback{{Variant: &commonpb.Callback_Nexus_{
					Nexus: &commonpb.Callback_Nexus{Url: "http://127.0.0.1:1/"}}}}})
			return err
		},
	}
	for what, attempt := range denied {
		var permission *serviceerror.PermissionDenied
		if err := attempt(); !errors.As(err, &permission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := engine.Client().ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: ns})
	var unimplemented *serviceerror.Unimplemented
	if !errors.As(err, &unimplemented) {
		t.Errorf("a list of workflows that nobody keeps: %v", err)
	}
}

func TestTheNamespaceHasTheRetentionThatIsAskedForAndKeepsALongerOne(t *testing.T) {
	cfg, _ := embedded(t)
	for _, step := range []struct{ ask, want time.Duration }{
		{48 * time.Hour, 48 * time.Hour}, {240 * time.Hour, 240 * time.Hour}, {24 * time.Hour, 240 * time.Hour},
	} {
		cfg.Retention = step.ask
		engine := open(t, cfg)
		described, err := engine.Client().WorkflowService().DescribeNamespace(t.Context(),
			&workflowservice.DescribeNamespaceRequest{Namespace: "trustloom"})
		if err != nil {
			t.Fatal(err)
		}
		if got := described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != step.want {
			t.Errorf("asked for %s: the retention is %s", step.ask, got)
		}
		if err := engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFilesOfTheEngineAreForItsOwnerOnly(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	if err := engine.Check(t.Context()); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(cfg.DataDir, "temporal")
	for _, path := range []string{"tls/client.key", "tls/server.key", "tls/ca.pem", "temporal.db", "temporal.db-wal", "ports.json", "."} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
	if keys, _ := filepath.Glob(filepath.Join(dir, "tls", "ca.key")); len(keys) != 0 {
		t.Error("the key of the CA was kept")
	}
}

func TestPayloadsOfAnotherWorkflowAndPlainOnesAreRefused(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	secret := canaries{prefix: "canary"}
	s := startStory(t, engine.Client(), secret)
	ctx, c := t.Context(), engine.Client()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "original", TaskQueue: "story"}, s.Child, "for the original")
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(ctx, nil); err != nil {
		t.Fatal(err)
	}
	first, err := c.GetWorkflowHistory(ctx, "original", "", false, 0).Next()
	if err != nil {
		t.Fatal(err)
	}
	sealed := first.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	plain := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`"hello"`)}
	for name, test := range map[string]struct {
		payload *commonpb.Payload
		want    string
	}{
		"moved": {sealed, "it belongs to another workflow"},
		"plain": {plain, "plain and foreign payloads are refused"},
	} {
		_, err := c.WorkflowService().StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{
			Namespace: "trustloom", WorkflowId: name, RequestId: name, WorkflowType: &commonpb.WorkflowType{Name: "Child"},
			TaskQueue: &taskqueuepb.TaskQueue{Name: "story"}, Input: &commonpb.Payloads{Payloads: []*commonpb.Payload{test.payload}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.GetWorkflow(ctx, name, "").Get(ctx, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the workflow with the %s payload ended with %v", name, err)
		}
	}
}
