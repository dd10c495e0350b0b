/** The forms in which XState keeps a guard: a name, a name with parameters, or a function, which may combine others. */
type Guard =
  | string
  | { readonly type: string; readonly params?: unknown }
  | (CallableFunction & { readonly guards?: readonly Guard[]; readonly stateValue?: unknown })

/** The forms in which XState keeps an action: those of a guard; built-in actions have a type. */
type Action =
  | string
  | { readonly type: string; readonly params?: unknown }
  | (CallableFunction & { readonly type?: string })

/** The guard as it is written in the chart: `name`, `name(status: completed)`, `not(name)`, `and(a, b)`. */
export function guardName(held: unknown): string {
  const guard = held as Guard
  if (typeof guard !== 'function') return referenceName(guard)
  if (guard.guards !== undefined) return `${guard.name}(${guard.guards.map(guardName).join(', ')})`
  if (guard.stateValue !== undefined) return `stateIn(${JSON.stringify(guard.stateValue)})`
  return functionName(guard)
}

/** The action as it is written in the chart. A built-in one has its short name, `assign` or `raise`. */
export function actionName(held: unknown): string {
  const action = held as Action
  if (typeof action !== 'function') return referenceName(action)
  return action.type?.replace(/^xstate\./, '') ?? functionName(action)
}

/** The event as readers know it: `always`, `after 5000`, `done(child)`, or the type itself. */
export function eventName(type: string): string {
  if (type === '') return 'always'
  return type
    .replace(/^xstate\.after\.([^.]+)\..*$/, 'after $1')
    .replace(/^xstate\.(done|error|snapshot)\.(?:actor|state)\.(.+)$/, '$1($2)')
}

function referenceName(reference: string | { readonly type: string; readonly params?: unknown }): string {
  if (typeof reference === 'string') return reference
  const { type, params } = reference
  if (params === undefined) return type
  if (typeof params === 'function') return `${type}(...)`
  if (typeof params !== 'object' || params === null) return `${type}(${text(params)})`
  const listed = Object.entries(params).map(([name, value]) => `${name}: ${text(value)}`)
  return `${type}(${listed.join(', ')})`
}

function functionName({ name }: CallableFunction): string {
  return name === '' || name === 'guard' || name === 'actions' ? 'inline' : name
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
