/** Envoy's response flags: why the proxy, and not the application, answered or broke off. */
export type ResponseFlag =
  /** No healthy upstream endpoint. */
  | 'UH'
  /** Upstream connection failure: nothing of the request reached the application. */
  | 'UF'
  /** Upstream connection termination: it broke while the request was under way. */
  | 'UC'
  /** Upstream remote reset. */
  | 'UR'
  /** Upstream overflow: too many requests waiting. */
  | 'UO'
  /** Upstream request timeout. */
  | 'UT'
  /** No route. */
  | 'NR'
  /** Downstream connection termination: the client went away. */
  | 'DC'
  /** Downstream protocol error. */
  | 'DPE'
  /** Upstream protocol error. */
  | 'UPE'
  /** The retry limit was reached. */
  | 'URX'
  /** Stream idle timeout. */
  | 'SI'
  /** No cluster: the name is not a service of this mesh. */
  | 'NC'
  /** Overload: the proxy itself refused. */
  | 'OM'
  /** The proxy is draining or shutting down. */
  | 'LR';

/** Header in which a local reply says why. A proxy trusts it only from another proxy of the mesh, over mutual TLS. */
export const RESPONSE_FLAGS_HEADER = 'x-mesh-response-flags';
