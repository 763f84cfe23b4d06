package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) cluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "See who is in a cluster and who does what, and take nodes out",
		Long: `See who is in a cluster and who does what, and take nodes out. A node joins by being started with the cluster's name
and the addresses of others (heliograph serve --cluster NAME --peers HOST:PORT,HOST:PORT).`,
		Args: cobra.NoArgs,
	}
	to := t.serverFlags(c)
	c.AddCommand(t.clusterStatus(to), t.clusterLeave(to), t.clusterRemove(to))
	return c
}

func (t *tool) clusterStatus(to *target) *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show the nodes, the partitions that each works, and how complete the copies are",
		Example: `  heliograph cluster status --server https://one.example.org`,
		Args:    cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		s, err := api.Cluster(c.Context())
		if err != nil {
			return explain(err)
		}
		if t.asJSON() {
			return json.NewEncoder(t.Out).Encode(s)
		}
		return t.showCluster(s)
	}
	return c
}

func (t *tool) showCluster(s *client.Cluster) error {
	if !s.InTouch {
		t.printf("%s is out of touch with the majority since %s: what follows may be old\n", s.Node, s.AsOf.Format(time.RFC3339))
	}
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NODE\tSTATE\tVERSION\tPARTITIONS\tURL")
	for _, n := range s.Nodes {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Name, n.State, n.Version, strings.Trim(fmt.Sprint(n.Partitions), "[]"), n.URL)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	behind := int64(0)
	for _, p := range s.Partitions {
		if behind += p.Behind; p.Owner == "" {
			t.printf("partition %d is worked by nobody for now\n", p.Partition)
		}
	}
	t.printf("%d changes wait to be read\n", behind)
	for _, stream := range s.Streams {
		for _, r := range stream.Replicas {
			if !r.Current {
				t.printf("%s on %s is not complete: %d writes are missing\n", stream.Stream, r.Node, r.Lag)
			}
		}
	}
	return nil
}

func (t *tool) clusterLeave(to *target) *cobra.Command {
	c := &cobra.Command{
		Use:   "leave",
		Short: "Let the server that is spoken to leave its cluster for good",
		Long: `Let the server that is spoken to (--server) hand over what it works, leave its cluster for good, and end. What it kept
is copied to the other nodes. It is refused when fewer nodes would be left than keep each piece of data. Afterwards its
data folder is of no use.`,
		Args: cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := t.connect(to)
		if err == nil {
			err = api.LeaveCluster(c.Context())
		}
		if err != nil {
			return explain(err)
		}
		t.printf("leaving\n")
		return nil
	}
	return c
}

func (t *tool) clusterRemove(to *target) *cobra.Command {
	c := &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node out that has gone for good",
		Long: `Take a node out that has gone for good, such as one whose disk is lost. Start the one that replaces it first, under
another name: what the lost one kept is copied to it. A node that lives is refused.`,
		Example: `  heliograph cluster remove three --server https://one.example.org`,
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err == nil {
			err = api.RemoveNode(c.Context(), args[0])
		}
		if err != nil {
			return explain(err)
		}
		t.printf("%s is out\n", args[0])
		return nil
	}
	return c
}
