// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/api"
	"go.temporal.io/server/common/authorization"
)

// applicationType marks the claims of the one client of the frontend.
const applicationType = "trustloom-application"

// systemQueuePrefix begins the names of the task queues of Temporal's own workers.
const systemQueuePrefix = "temporal-sys-"

var (
	allow = authorization.Result{Decision: authorization.DecisionAllow}
	deny  = authorization.Result{Decision: authorization.DecisionDeny, Reason: "not in the role of the application"}
)

// everywhere lists what the application may call without a namespace.
var everywhere = map[string]bool{
	"/grpc.health.v1.Health/Check":              true,
	api.WorkflowServicePrefix + "GetSystemInfo": true,
}

// inNamespace lists what the application may call in its own namespace. What is not here is denied: namespaces and
// search attributes, batch operations, worker deployments and their compute providers, reset and delete, nexus,
// standalone activities, workflow rules, the operator service and the admin service.
var inNamespace = nameSet(
	"DescribeNamespace",
	// workflows
	"StartWorkflowExecution", "ExecuteMultiOperation", "SignalWithStartWorkflowExecution", "SignalWorkflowExecution",
	"UpdateWorkflowExecution", "PollWorkflowExecutionUpdate", "QueryWorkflow", "RequestCancelWorkflowExecution",
	"TerminateWorkflowExecution", "DescribeWorkflowExecution", "GetWorkflowExecutionHistory",
	"GetWorkflowExecutionHistoryReverse", "ListWorkflowExecutions", "CountWorkflowExecutions",
	// workers
	"PollWorkflowTaskQueue", "RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed", "RespondQueryTaskCompleted",
	"PollActivityTaskQueue", "RecordActivityTaskHeartbeat", "RecordActivityTaskHeartbeatById",
	"RespondActivityTaskCompleted", "RespondActivityTaskCompletedById", "RespondActivityTaskFailed",
	"RespondActivityTaskFailedById", "RespondActivityTaskCanceled", "RespondActivityTaskCanceledById",
	"ResetStickyTaskQueue", "ShutdownWorker", "RecordWorkerHeartbeat", "DescribeTaskQueue",
	// schedules
	"CreateSchedule", "DescribeSchedule", "UpdateSchedule", "PatchSchedule", "DeleteSchedule", "ListSchedules",
	"ListScheduleMatchingTimes",
)

func nameSet(methods ...string) map[string]bool {
	set := make(map[string]bool, len(methods))
	for _, method := range methods {
		set[api.WorkflowServicePrefix+method] = true
	}
	return set
}

// claimMapper knows one client certificate. The TLS listener has checked the same already; claims are given here so
// that the decision does not rest on the listener alone.
type claimMapper struct {
	application Application
	namespace   string
}

// GetClaims implements authorization.ClaimMapper.
func (m claimMapper) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	certificate := authorization.PeerCert(info.TLSConnection)
	if certificate == nil || !m.application.Is(certificate) {
		return nil, errors.New("unknown client certificate")
	}
	return &authorization.Claims{
		Subject:    certificate.Subject.CommonName,
		AuthType:   applicationType,
		Namespaces: map[string]authorization.Role{m.namespace: authorization.RoleWriter},
	}, nil
}

// authorizer denies by default. Temporal's own services come in through the internal frontend, whose claims no caller
// of the public one can obtain.
type authorizer struct {
	namespace string
}

// Authorize implements authorization.Authorizer.
func (a authorizer) Authorize(_ context.Context, claims *authorization.Claims, target *authorization.CallTarget) (authorization.Result, error) {
	switch {
	case claims == nil:
		return deny, nil
	case claims.AuthType == authorization.InternalPrincipalType && claims.System == authorization.RoleAdmin:
		return allow, nil
	case claims.AuthType != applicationType:
		return deny, nil
	case everywhere[target.APIName]:
		return allow, nil
	case target.Namespace != a.namespace || !inNamespace[target.APIName]:
		return deny, nil
	case usesSystemQueue(target.Request) || asksForCallback(target.Request):
		return deny, nil
	}
	return allow, nil
}

// usesSystemQueue tells calls that would reach Temporal's own workers: a workflow started there runs batch operations
// and deployments, which the role denies by their front door.
func usesSystemQueue(request any) bool {
	if multi, ok := request.(*workflowservice.ExecuteMultiOperationRequest); ok {
		for _, operation := range multi.GetOperations() {
			if usesSystemQueue(operation.GetStartWorkflow()) {
				return true
			}
		}
		return false
	}
	queued, ok := request.(interface{ GetTaskQueue() *taskqueuepb.TaskQueue })
	return ok && strings.HasPrefix(queued.GetTaskQueue().GetName(), systemQueuePrefix)
}

// asksForCallback tells starts that would make the server call somebody when the workflow ends. Trustloom never does,
// and callbacks were the way of several attacks on the server.
func asksForCallback(request any) bool {
	if multi, ok := request.(*workflowservice.ExecuteMultiOperationRequest); ok {
		for _, operation := range multi.GetOperations() {
			if asksForCallback(operation.GetStartWorkflow()) {
				return true
			}
		}
		return false
	}
	start, ok := request.(interface{ GetCompletionCallbacks() []*commonpb.Callback })
	return ok && len(start.GetCompletionCallbacks()) > 0
}
