package engine

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

// Cluster makes the embedded server a node of a cluster: each node keeps a copy of what is written, and a majority of
// them has it on disk before it counts as written.
type Cluster struct {
	// Name is the cluster's, Node this node's: letters, digits, - and _. A node keeps its name for good, and its data
	// folder with it: the majority counts on what a name has once kept.
	Name, Node string
	// Listen is where the other nodes connect to (host:port), Advertise what they are told when it is another.
	Listen, Advertise string
	// Peers are the addresses of the nodes. This node's own may be among them.
	Peers []string
	// Secret is what the nodes know each other by. It may be empty on loopback and where TLS asks for certificates.
	Secret heliograph.Secret
	// TLS is for both ends of what nodes say to each other; nil sends it in the clear.
	TLS *tls.Config
	// Wait is how long Open waits for a majority; 0 is two minutes.
	Wait time.Duration
}

const (
	clusterWait   = 2 * time.Minute
	majorityTry   = 2 * time.Second // for one question whether there is a leader
	routeTimeout  = 5 * time.Second // of a handshake between nodes
	routeUser     = "heliograph"
	nodeUser      = "node"
	systemUser    = "system"
	systemAccount = "$SYS"
	clusterMode   = "cluster"
)

var nodePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidNode reports whether a name can be a node's or a cluster's.
func ValidNode(name string) bool { return nodePattern.MatchString(name) }

func (c *Cluster) check() error {
	switch {
	case !ValidNode(c.Name) || !ValidNode(c.Node):
		return fmt.Errorf("engine: %q and %q are no names of a cluster and its node", c.Name, c.Node)
	case c.Secret.IsZero() && c.TLS == nil && !onLoopback(c.Listen):
		return heliograph.Errorf(heliograph.Invalid, "cluster.open",
			"anybody who reaches %s could join the cluster: give the nodes a secret, certificates, or both", c.Listen)
	}
	_, err := c.routes()
	return err
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// mode is what the data folder of the node says.
func (c *Cluster) mode() string {
	if c == nil {
		return standalone
	}
	return clusterMode + ":" + c.Name + ":" + c.Node
}

// routes returns the other nodes as the server wants them: before they have met, it counts them for a majority.
func (c *Cluster) routes() ([]*url.URL, error) {
	var routes []*url.URL
	for _, peer := range c.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return nil, fmt.Errorf("engine: %q is no address of a node: %w", peer, err)
		}
		if peer == c.Listen || peer == c.Advertise {
			continue
		}
		route := &url.URL{Scheme: "nats", Host: peer}
		if !c.Secret.IsZero() {
			route.User = url.UserPassword(routeUser, c.Secret.Reveal())
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// join adds to the server's options what makes it a node, and returns the password of its users.
func (c *Cluster) join(o *server.Options) (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("engine: %q is no address to listen on: %w", c.Listen, err)
	}
	// The server does not speak to others before it listens to clients: it does so on loopback, to those who know a
	// password that nobody outside of this process learns.
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Host: host, Advertise: c.Advertise, NoAdvertise: true, ConnectBackoff: true,
		AuthTimeout: routeTimeout.Seconds(), TLSTimeout: routeTimeout.Seconds(), TLSConfig: c.TLS,
	}
	if o.Cluster.Port, err = strconv.Atoi(port); err != nil {
		return "", fmt.Errorf("engine: %q is no address to listen on: %w", c.Listen, err)
	}
	if !c.Secret.IsZero() {
		o.Cluster.Username, o.Cluster.Password = routeUser, c.Secret.Reveal()
	}
	if o.Routes, err = c.routes(); err != nil {
		return "", err
	}
	o.ServerName = c.Node
	system, password := server.NewAccount(systemAccount), rand.Text()
	o.Accounts, o.SystemAccount = []*server.Account{system}, systemAccount
	o.Users = []*server.User{{Username: nodeUser, Password: password}, {Username: systemUser, Password: password, Account: system}}
	return password, nil
}

// awaitMajority returns once the cluster has a leader, and says what it lacks when it has not in time.
func (e *Engine) awaitMajority(ctx context.Context) error {
	wait := e.o.Cluster.Wait
	if wait == 0 {
		wait = clusterWait
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	told := e.o.Now()
	for {
		attempt, end := context.WithTimeout(bounded, majorityTry)
		_, err := e.js.AccountInfo(attempt)
		end()
		if err == nil {
			return nil
		}
		if e.pause(bounded, pauseFirst*10) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return heliograph.Errorf(heliograph.Unavailable, "cluster.no_majority",
				"cluster %s has no majority after %v: this node (%s) is in touch with %s of the peers %s; start the others, "+
					"and see that they know the same secret and authorities: %w",
				e.o.Cluster.Name, wait, e.o.Cluster.Node, e.touch(), strings.Join(e.o.Cluster.Peers, ", "), err)
		}
		if now := e.o.Now(); now.Sub(told) > 10*time.Second {
			told = now
			e.logger.InfoContext(ctx, "waiting for a majority of the cluster", "cluster", e.o.Cluster.Name, "in_touch", e.touch())
		}
	}
}

// touch names the nodes that this one is connected to.
func (e *Engine) touch() string {
	names := e.neighbours()
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (e *Engine) neighbours() []string {
	if e.server == nil {
		return nil
	}
	routes, err := e.server.Routez(nil)
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range routes.Routes {
		if !slices.Contains(names, r.RemoteName) {
			names = append(names, r.RemoteName)
		}
	}
	slices.Sort(names)
	return names
}

// Clustered reports whether other processes may write to the same store.
func (e *Engine) Clustered() bool { return e.o.Cluster != nil || e.o.NATS != "" }

// prepareTry bounds one try to make the streams: of nodes that ask for the same at once, the server answers one.
const prepareTry = 3 * time.Second

// preparing makes the streams. In a cluster it tries again while nodes are still coming.
func (e *Engine) preparing(ctx context.Context) error {
	if e.o.Cluster == nil {
		return e.prepare(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, clusterWait)
	defer cancel()
	for tries := 1; ; tries++ {
		attempt, end := context.WithTimeout(bounded, prepareTry)
		err := e.prepare(attempt)
		end()
		if err == nil || !passing(err) || e.pause(bounded, 10*pauseFirst) != nil {
			return err
		}
		if tries%10 == 0 {
			e.logger.WarnContext(ctx, "streams of the cluster are not ready", "tries", tries, "error", err)
		}
	}
}

// passing reports whether an error goes by itself when nodes have come, or leaders were chosen.
func passing(err error) bool {
	var refused *heliograph.Error
	if errors.As(err, &refused) && refused.Kind == heliograph.Invalid {
		return false
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) || heliograph.KindOf(err) == heliograph.Conflict { // another is writing it
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) {
		return true
	}
	_, verdict := judge(err)
	return verdict == delayed || answerOf(err, codeNoPeers, codeNotAvailable, codeInsufficient, codeInUse, jetstream.JSErrCodeStreamNotFound, jetstream.JSErrCodeMessageNotFound)
}

// trying asks the server for something that may be asked for twice. In a cluster it asks again and again until ctx is done:
// what is said while there is no leader gets no answer, also when there is one again.
func (e *Engine) trying(ctx context.Context, ask func(context.Context) error) error {
	if e.o.Cluster == nil {
		return ask(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for {
		attempt, end := context.WithTimeout(ctx, clusterAttempt)
		err := ask(attempt)
		end()
		if err == nil || !passing(err) || e.pause(ctx, pauseFirst) != nil {
			return err
		}
	}
}
