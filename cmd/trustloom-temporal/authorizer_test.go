// SPDX-License-Identifier: MIT

package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/api"
	"go.temporal.io/server/common/authorization"
	"google.golang.org/grpc/credentials"
)

func TestTheRoleAllowsWhatIsListedAndNothingElse(t *testing.T) {
	application := &authorization.Claims{AuthType: applicationType}
	internal := &authorization.Claims{AuthType: authorization.InternalPrincipalType, System: authorization.RoleAdmin}
	systemStart := &workflowservice.StartWorkflowExecutionRequest{TaskQueue: &taskqueuepb.TaskQueue{Name: "temporal-sys-per-ns-tq"}}
	callbackStart := &workflowservice.StartWorkflowExecutionRequest{CompletionCallbacks: []*commonpb.Callback{{}}}
	multi := func(start *workflowservice.StartWorkflowExecutionRequest) *workflowservice.ExecuteMultiOperationRequest {
		return &workflowservice.ExecuteMultiOperationRequest{Operations: []*workflowservice.ExecuteMultiOperationRequest_Operation{{
			Operation: &workflowservice.ExecuteMultiOperationRequest_Operation_StartWorkflow{StartWorkflow: start}}}}
	}
	workflow := func(method string) string { return api.WorkflowServicePrefix + method }
	cases := map[string]struct {
		claims    *authorization.Claims
		method    string
		namespace string
		request   any
		allowed   bool
	}{
		"the application starts a workflow":           {application, workflow("StartWorkflowExecution"), "ours", nil, true},
		"the application starts one elsewhere":        {application, workflow("StartWorkflowExecution"), "theirs", nil, false},
		"the application starts one nowhere":          {application, workflow("StartWorkflowExecution"), "", nil, false},
		"the application asks for the system info":    {application, workflow("GetSystemInfo"), "", nil, true},
		"the application asks for the health":         {application, "/grpc.health.v1.Health/Check", "", nil, true},
		"the application resets a workflow":           {application, workflow("ResetWorkflowExecution"), "ours", nil, false},
		"the application deletes a workflow":          {application, workflow("DeleteWorkflowExecution"), "ours", nil, false},
		"the application starts a batch":              {application, workflow("StartBatchOperation"), "ours", nil, false},
		"the application registers a namespace":       {application, workflow("RegisterNamespace"), "ours", nil, false},
		"the application adds a search attribute":     {application, api.OperatorServicePrefix + "AddSearchAttributes", "ours", nil, false},
		"the application calls the admin service":     {application, api.AdminServicePrefix + "DescribeMutableState", "ours", nil, false},
		"the application calls a method of tomorrow":  {application, workflow("Tomorrow"), "ours", nil, false},
		"the application asks for reflection":         {application, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "", nil, false},
		"a start for Temporal's own workers":          {application, workflow("StartWorkflowExecution"), "ours", systemStart, false},
		"the same, hidden in a multi-operation":       {application, workflow("ExecuteMultiOperation"), "ours", multi(systemStart), false},
		"a start that asks for a callback":            {application, workflow("StartWorkflowExecution"), "ours", callbackStart, false},
		"the same, hidden in another multi-operation": {application, workflow("ExecuteMultiOperation"), "ours", multi(callbackStart), false},
		"Temporal's own services":                     {internal, api.AdminServicePrefix + "DescribeMutableState", "theirs", nil, true},
		"an administrator of another kind":            {&authorization.Claims{System: authorization.RoleAdmin}, workflow("StartWorkflowExecution"), "ours", nil, false},
		"nobody":                                      {nil, workflow("GetSystemInfo"), "", nil, false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			target := &authorization.CallTarget{APIName: test.method, Namespace: test.namespace, Request: test.request}
			result, err := authorizer{namespace: "ours"}.Authorize(t.Context(), test.claims, target)
			if err != nil {
				t.Fatal(err)
			}
			if allowed := result.Decision == authorization.DecisionAllow; allowed != test.allowed {
				t.Errorf("allowed: %t", allowed)
			}
		})
	}
}

func TestClaimsAreGivenToOneCertificateOnly(t *testing.T) {
	certificates := make([]*x509.Certificate, 2)
	for i := range certificates {
		pair, err := ephemeralCertificate(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		certificates[i] = pair.Leaf
	}
	mapper := claimMapper{application: Application{spki: sha256.Sum256(certificates[0].RawSubjectPublicKeyInfo)}, namespace: "ours"}
	info := func(certificate *x509.Certificate) *authorization.AuthInfo {
		return &authorization.AuthInfo{TLSConnection: &credentials.TLSInfo{State: tls.ConnectionState{
			VerifiedChains: [][]*x509.Certificate{{certificate}}}}}
	}
	claims, err := mapper.GetClaims(info(certificates[0]))
	if err != nil || claims.AuthType != applicationType || claims.System != authorization.RoleUndefined {
		t.Errorf("the application got %+v, %v", claims, err)
	}
	for name, other := range map[string]*authorization.AuthInfo{
		"another certificate": info(certificates[1]), "no connection": {}, "a token": {AuthToken: "Bearer x"}} {
		if claims, err := mapper.GetClaims(other); err == nil {
			t.Errorf("%s got %+v", name, claims)
		}
	}
}
