// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/server/api/visibilityservice/v1"
	"go.temporal.io/server/chasm"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/namespace"
	"go.temporal.io/server/common/persistence/visibility/manager"
	"go.temporal.io/server/common/persistence/visibility/store"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/common/searchattribute"
)

const visibilityStoreName = "none"

// noVisibility is a visibility store (Temporal's index for lists of workflows) that keeps nothing: a custom store is a
// supported extension of the server. Trustloom lists from its own database, and the index would take half of the
// engine's throughput on SQLite. Nothing else depends on it: starts, signals, updates, timers, schedules and the
// deletion after retention work from the history store.
type noVisibility struct{}

var _ store.VisibilityStore = noVisibility{}

func errNoVisibility() error {
	return serviceerror.NewUnimplemented("the embedded engine keeps no list of workflows: ask Trustloom's REST API")
}

// NewVisibilityStore implements visibility.VisibilityStoreFactory.
func (noVisibility) NewVisibilityStore(config.CustomDatastoreConfig, searchattribute.Provider, searchattribute.MapperProvider,
	namespace.Registry, *chasm.Registry, resolver.ServiceResolver, log.Logger, metrics.Handler) (store.VisibilityStore, error) {
	return noVisibility{}, nil
}

// Close implements store.VisibilityStore, as do all methods below.
func (noVisibility) Close() {}

// GetName names the store.
func (noVisibility) GetName() string { return visibilityStoreName }

// GetIndexName names the index.
func (noVisibility) GetIndexName() string { return visibilityStoreName }

// ValidateCustomSearchAttributes accepts what the server accepts.
func (noVisibility) ValidateCustomSearchAttributes(attributes map[string]any) (map[string]any, error) {
	return attributes, nil
}

// RecordWorkflowExecutionStarted keeps nothing.
func (noVisibility) RecordWorkflowExecutionStarted(context.Context, *store.InternalRecordWorkflowExecutionStartedRequest) error {
	return nil
}

// RecordWorkflowExecutionClosed keeps nothing.
func (noVisibility) RecordWorkflowExecutionClosed(context.Context, *store.InternalRecordWorkflowExecutionClosedRequest) error {
	return nil
}

// UpsertWorkflowExecution keeps nothing.
func (noVisibility) UpsertWorkflowExecution(context.Context, *store.InternalUpsertWorkflowExecutionRequest) error {
	return nil
}

// DeleteWorkflowExecution has nothing to delete.
func (noVisibility) DeleteWorkflowExecution(context.Context, *manager.VisibilityDeleteWorkflowExecutionRequest) error {
	return nil
}

// ListWorkflowExecutions says that there is no list; an empty one would be a lie.
func (noVisibility) ListWorkflowExecutions(context.Context, *manager.ListWorkflowExecutionsRequestV2) (*store.InternalListExecutionsResponse, error) {
	return nil, errNoVisibility()
}

// CountWorkflowExecutions says that nothing was counted.
func (noVisibility) CountWorkflowExecutions(context.Context, *manager.CountWorkflowExecutionsRequest) (*store.InternalCountExecutionsResponse, error) {
	return nil, errNoVisibility()
}

// GetWorkflowExecution says that there is no index to look in.
func (noVisibility) GetWorkflowExecution(context.Context, *manager.GetWorkflowExecutionRequest) (*store.InternalGetWorkflowExecutionResponse, error) {
	return nil, errNoVisibility()
}

// ListChasmExecutions says that there is no list.
func (noVisibility) ListChasmExecutions(context.Context, *visibilityservice.ListChasmExecutionsRequest) (*store.InternalListExecutionsResponse, error) {
	return nil, errNoVisibility()
}

// CountChasmExecutions says that nothing was counted.
func (noVisibility) CountChasmExecutions(context.Context, *visibilityservice.CountChasmExecutionsRequest) (*store.InternalCountExecutionsResponse, error) {
	return nil, errNoVisibility()
}

// AddSearchAttributes has no schema to change.
func (noVisibility) AddSearchAttributes(context.Context, *manager.AddSearchAttributesRequest) error {
	return nil
}
