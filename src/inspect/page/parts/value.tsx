import type { JSX } from 'preact'
import type { JsonObject, JsonValue } from '../../../base/json.js'

/**
 * Shows the fields of an object that have a value. Values are shown as text, whatever they contain; instants are
 * formatted as such.
 */
export function Fields({ of }: { readonly of: JsonObject }): JSX.Element {
  return (
    <dl class="fields">
      {Object.entries(of)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <code>{written(name, value)}</code>
            </dd>
          </div>
        ))}
    </dl>
  )
}

function written(name: string, value: JsonValue | undefined): string {
  if (typeof value === 'number' && /(AtMs|_at_ms)$/.test(name) && Math.abs(value) < 8e15)
    return new Date(value).toISOString()
  return typeof value === 'string' ? value : JSON.stringify(value, undefined, 1)
}
