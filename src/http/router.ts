import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { ServedCall, ServedRoute } from './route.js'

/** A route that matches a path, with its parameters. */
export interface RouteMatch<Call extends ServedCall> {
  readonly route: ServedRoute<Call>
  readonly params: Readonly<Record<string, string>>
}

/** A parsed request target: its path, decoded and below the base path, and its query. */
export interface Target {
  /** Absent if outside the base path. */
  readonly path?: string
  readonly query: URLSearchParams
  /** The host, if the target is an absolute URL. */
  readonly host?: string
}

/** Maximum length of a request target, in characters. */
const longestTarget = 8192

/**
 * Parses a request target: a path, or an absolute URL as proxies send it. Raises `invalid_input` and `target_too_long`.
 */
export function readTarget(target: string, basePath: string): Target {
  if (target.length > longestTarget) {
    const message = `the request target exceeds ${longestTarget} characters`
    throw new StatewardError('target_too_long', message, { limit: longestTarget })
  }
  const isPath = target.startsWith('/')
  // A URL parser would read a path that begins with two slashes as a host.
  const address = isPath ? `http://localhost${target}` : target
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) {
    throw new InvalidInputError({ subject: 'request target', field: '$', reason: 'neither a path nor an address' })
  }
  const { pathname, searchParams: query, host } = new URL(address)
  const isBelow = pathname === basePath || pathname.startsWith(`${basePath}/`)
  const path = pathname.slice(basePath.length)
  return { query, ...(isBelow && { path: path === '' ? '/' : path }), ...(!isPath && { host }) }
}

/** All routes that match a path, in order, whatever their method. Raises `invalid_input`. */
export function matchRoutes<Call extends ServedCall>(
  routes: readonly ServedRoute<Call>[],
  path: string,
): RouteMatch<Call>[] {
  const parts = path.split('/').map(decodePart)
  return routes.flatMap((route) => {
    const params = paramsOf(route.path, parts)
    return params === undefined ? [] : { route, params }
  })
}

/** The method of the route that answers. `HEAD` is answered like `GET`, without the body (RFC 9110, 9.3.2). */
export function methodOfRoute(method: string): string {
  return method === 'HEAD' ? 'GET' : method
}

/** The route that answers the method. Raises `route_not_found` and `method_not_allowed`. */
export function routeOf<Call extends ServedCall>(
  matches: readonly RouteMatch<Call>[],
  method: string,
  path: string,
): RouteMatch<Call> {
  if (matches.length === 0) throw new StatewardError('route_not_found', `no such route: ${path}`, { path })
  const found = matches.find(({ route }) => route.method === methodOfRoute(method))
  if (found !== undefined) return found
  const known = matches.map(({ route }) => route.method)
  const allowed = [...new Set(known.flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one])))]
  throw new StatewardError('method_not_allowed', `${method} is not possible here`, { method, allowed })
}

function paramsOf(path: string, parts: readonly string[]): Record<string, string> | undefined {
  const pattern = path.split('/')
  if (pattern.length !== parts.length) return undefined
  const params: [string, string][] = []
  for (const [index, expected] of pattern.entries()) {
    const part = parts[index] ?? ''
    if (expected.startsWith(':')) params.push([expected.slice(1), part])
    else if (expected !== part) return undefined
  }
  return Object.fromEntries(params)
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw new InvalidInputError({ subject: 'path', field: '$', reason: 'not well-formed' }, { cause })
  }
}
