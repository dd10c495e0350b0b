import type { JSX } from 'preact'
import type { BudgetRow } from '../../stream/protocol.js'
import { place } from '../address.js'
import { Answered } from '../parts/answer.js'
import { ItemLink } from '../parts/item.js'
import { now } from '../parts/now.js'
import { Table } from '../parts/table.js'
import { count, relative } from '../parts/text.js'
import { When } from '../parts/when.js'
import { useView } from '../use-view.js'

/** Budgets as bars, the most used first. */
export function Budgets(): JSX.Element {
  const { at } = place.value
  const shown = useView({ view: 'budgets', limit: 200, ...(at !== undefined && { at }) })
  return (
    <Answered of={shown}>
      {(view) =>
        view.total === 0 ? (
          <p class="quiet">No task has a budget.</p>
        ) : (
          <Table
            label="Budgets"
            rows={view.rows}
            keyOf={({ task, dimension }) => `${task.id} ${dimension}`}
            columns={[
              { title: 'task', cell: ({ task, name }) => <ItemLink item={task} name={name} /> },
              { title: 'of what', cell: ({ dimension }) => dimension },
              { title: 'used', cell: (row) => <Used of={row} /> },
              { title: 'spent', isNumber: true, cell: ({ consumed }) => count(consumed) },
              { title: 'reserved', isNumber: true, cell: ({ reserved }) => count(reserved) },
              { title: 'limit', isNumber: true, cell: ({ limit }) => count(limit) },
            ]}
          />
        )
      }
    </Answered>
  )
}

function Used({ of: { dimension, consumed, reserved, limit, isExhausted } }: { readonly of: BudgetRow }): JSX.Element {
  const used = limit === 0 ? 100 : Math.round(((consumed + reserved) / limit) * 100)
  return (
    <span class="progress">
      <meter
        class="budget"
        value={consumed + reserved}
        max={Math.max(1, limit)}
        high={Math.max(1, limit) * 0.9}
        aria-label={`${dimension}: ${used} % used`}
      />
      <span class={isExhausted ? 'error' : 'quiet'}>{isExhausted ? 'exhausted' : `${used} %`}</span>
    </span>
  )
}

/** Scheduled tasks, the next first. */
export function Schedules(): JSX.Element {
  const shown = useView({ view: 'schedules', limit: 200 })
  return (
    <Answered of={shown}>
      {(view) =>
        view.total === 0 ? (
          <p class="quiet">Nothing is scheduled.</p>
        ) : (
          <Table
            label="Schedules"
            rows={view.rows}
            keyOf={({ task }) => task.id}
            columns={[
              { title: 'task', cell: ({ task, name }) => <ItemLink item={task} name={name} /> },
              { title: 'schedule', cell: ({ schedule }) => <code>{schedule}</code> },
              { title: 'next', cell: ({ nextAtMs }) => (nextAtMs === null ? 'never' : <Moment at={nextAtMs} />) },
              { title: 'last', cell: ({ lastAtMs }) => lastAtMs !== undefined && <Moment at={lastAtMs} /> },
            ]}
          />
        )
      }
    </Answered>
  )
}

function Moment({ at }: { readonly at: number }): JSX.Element {
  return (
    <>
      {relative(at, now.value)} <When at={at} />
    </>
  )
}
