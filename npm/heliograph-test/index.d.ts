export interface StartOptions {
  /** The heliograph command. Left out: HELIOGRAPH, or in the path. */
  binary?: string;
  /** How long methods wait for what should happen, in milliseconds. */
  wait?: number;
  /** Further flags of heliograph dev. */
  args?: string[];
}

export interface Change {
  id: string;
  resource: string;
  type: string;
  data?: unknown;
}

export interface Subscription {
  id: string;
  resource: string;
  changeType: string;
  notificationUrl: string;
  state: string;
  expires: string;
  [more: string]: unknown;
}

export interface Delivery {
  id: string;
  endpoint: string;
  status: number;
  reason: string;
  [more: string]: unknown;
}

export interface TokenRequest {
  app?: string;
  user?: string;
  scopes?: string[];
  roles?: string[];
  tenant?: string;
  lifetime?: string;
}

export function start(options?: StartOptions): Promise<Server>;

export class Server {
  readonly url: string;
  readonly tokenUrl: string;
  readonly tenant: string;
  token(request?: TokenRequest): Promise<string>;
  waitForSubscription(resource: string): Promise<Subscription>;
  subscriptions(): Promise<Subscription[]>;
  publish(change: { resource: string; type?: "created" | "updated" | "deleted"; paths?: string[]; data?: unknown }): Promise<Change>;
  trigger(event: string, request?: { user?: string; set?: object; parameters?: Record<string, string>; seed?: number; count?: number }): Promise<Change[]>;
  expectDelivered(change: Change): Promise<Delivery[]>;
  expectNotDelivered(change: Change): Promise<void>;
  /** An ISO 8601 duration: PT70H. */
  advance(by: string): Promise<{ now: string }>;
  fault(fault: { kind: string; [more: string]: unknown }): Promise<{ id: string }>;
  clearFaults(): Promise<void>;
  stop(): Promise<void>;
}
