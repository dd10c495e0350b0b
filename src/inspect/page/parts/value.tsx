import type { JSX } from 'preact'
import type { JsonObject, JsonValue } from '../../../base/json.js'

/** Names and what stands under them. Text, whatever it holds. */
export function Fields({ of }: { readonly of: JsonObject }): JSX.Element {
  return (
    <dl class="fields">
      {Object.entries(of).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <code>{written(value)}</code>
          </dd>
        </div>
      ))}
    </dl>
  )
}

function written(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value, undefined, 1)
}
