import type { JSX } from 'preact'
import { Answered } from '../parts/answer.js'
import { ItemLink } from '../parts/item.js'
import { clockTime, count, relative } from '../parts/text.js'
import { useView } from '../use-view.js'

/** Budgets as bars, the most used first. */
export function Budgets(): JSX.Element {
  const shown = useView({ view: 'budgets', limit: 200 })
  return (
    <Answered of={shown}>
      {(view) =>
        view.total === 0 ? (
          <p class="quiet">No task has a budget.</p>
        ) : (
          <ul class="plain lines">
            {view.rows.map(({ task, name, dimension, limit, consumed, reserved, isExhausted }) => (
              <li key={`${task.id} ${dimension}`}>
                <ItemLink item={task} name={name} />
                <span class="quiet">{dimension}</span>
                <meter
                  class="budget"
                  value={consumed + reserved}
                  max={Math.max(1, limit)}
                  aria-label={`${dimension} used`}
                />
                <span class={isExhausted ? 'error' : ''}>
                  {count(consumed)} spent, {count(reserved)} reserved of {count(limit)}
                  {isExhausted && ', exhausted'}
                </span>
              </li>
            ))}
          </ul>
        )
      }
    </Answered>
  )
}

/** What comes at its time, the next first. */
export function Schedules(): JSX.Element {
  const shown = useView({ view: 'schedules', limit: 200 })
  return (
    <Answered of={shown}>
      {(view) =>
        view.total === 0 ? (
          <p class="quiet">Nothing is scheduled.</p>
        ) : (
          <table>
            <thead>
              <tr>
                <th>task</th>
                <th>schedule</th>
                <th>next</th>
                <th>last</th>
              </tr>
            </thead>
            <tbody>
              {view.rows.map(({ task, name, schedule, nextAtMs, lastAtMs }) => (
                <tr key={task.id}>
                  <td>
                    <ItemLink item={task} name={name} />
                  </td>
                  <td>
                    <code>{schedule}</code>
                  </td>
                  <td>{nextAtMs === null ? 'never' : `${relative(nextAtMs, Date.now())} (${clockTime(nextAtMs)})`}</td>
                  <td>{lastAtMs === undefined ? '' : relative(lastAtMs, Date.now())}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )
      }
    </Answered>
  )
}
