// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net"
	"net/netip"

	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
)

// clusterName is written into the database; it never changes.
const clusterName = "trustloom"

// services are all parts of the server. The internal frontend is the door for Temporal's own workers.
var services = []primitives.ServiceName{
	primitives.FrontendService, primitives.InternalFrontendService,
	primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
}

// addresses picks a free port for each internal service, and for the frontend if it has none.
func addresses(frontend netip.AddrPort) (map[primitives.ServiceName]netip.AddrPort, error) {
	picked := make(map[primitives.ServiceName]netip.AddrPort, len(services))
	var listeners []net.Listener
	defer func() {
		for _, listener := range listeners {
			_ = listener.Close() // it never accepted anything
		}
	}()
	for _, service := range services {
		wanted := netip.AddrPortFrom(frontend.Addr(), 0)
		if service == primitives.FrontendService {
			wanted = frontend
		}
		listener, err := net.Listen("tcp", wanted.String())
		if err != nil {
			return nil, fmt.Errorf("listen for %s: %w", service, err)
		}
		listeners = append(listeners, listener)
		picked[service] = listener.Addr().(*net.TCPAddr).AddrPort()
	}
	return picked, nil
}

// staticHosts tells each service where the others are, so that there is no gossip protocol and no port for it.
func staticHosts(picked map[primitives.ServiceName]netip.AddrPort) map[primitives.ServiceName]static.Hosts {
	hosts := make(map[primitives.ServiceName]static.Hosts, len(picked))
	for service, address := range picked {
		hosts[service] = static.SingleLocalHost(address.String())
	}
	return hosts
}

// serverConfigFor describes the server: one shard, one file, no HTTP API, no pprof, no metrics port, no archival.
func serverConfigFor(database *config.SQL, picked map[primitives.ServiceName]netip.AddrPort) *config.Config {
	rpc := make(map[string]config.Service, len(picked))
	for service, address := range picked {
		rpc[string(service)] = config.Service{RPC: config.RPC{GRPCPort: int(address.Port()), BindOnIP: address.Addr().String()}}
	}
	disabled := config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     "main",
			VisibilityStore:  visibilityStoreName,
			NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{
				"main": {SQL: database},
				visibilityStoreName: {CustomDataStoreConfig: &config.CustomDatastoreConfig{
					Name: visibilityStoreName, IndexName: visibilityStoreName}},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
				Enabled: true, InitialFailoverVersion: 1, RPCAddress: picked[primitives.FrontendService].String()}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            rpc,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: disabled},
	}
}

// queueReads is how often per second the one shard may look for work that it has written down. The default of 20 is meant
// for one shard among hundreds: here it made each task wait for 50 ms as soon as there were more than 20 in a second.
const queueReads = 100

// dynamicConfig switches off what Trustloom does not use and sizes the rest for one file and one application.
func dynamicConfig() dynamicconfig.StaticClient {
	few := sdkworker.Options{MaxConcurrentWorkflowTaskPollers: 2, MaxConcurrentActivityTaskPollers: 2}
	return dynamicconfig.StaticClient{
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():                1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key():               1,
		dynamicconfig.EnableEagerWorkflowStart.Key():                          true,
		dynamicconfig.TransferProcessorMaxPollRPS.Key():                       queueReads,
		dynamicconfig.TimerProcessorMaxPollRPS.Key():                          queueReads,
		dynamicconfig.EnableCrossNamespaceCommands.Key():                      false,
		dynamicconfig.EnableServerVersionCheck.Key():                          false, // it calls home
		dynamicconfig.FrontendEnableBatcher.Key():                             false,
		dynamicconfig.EnableDeploymentVersions.Key():                          false,
		dynamicconfig.HistoryScannerEnabled.Key():                             false,
		dynamicconfig.ExecutionsScannerEnabled.Key():                          false,
		dynamicconfig.BuildIdScavengerEnabled.Key():                           false,
		dynamicconfig.WorkerScannerMaxConcurrentActivityTaskPollers.Key():     1,
		dynamicconfig.WorkerScannerMaxConcurrentWorkflowTaskPollers.Key():     2,
		dynamicconfig.WorkerParentCloseMaxConcurrentActivityTaskPollers.Key(): 1,
		dynamicconfig.WorkerParentCloseMaxConcurrentWorkflowTaskPollers.Key(): 2,
		dynamicconfig.WorkerPerNamespaceWorkerOptions.Key():                   few,
	}
}
