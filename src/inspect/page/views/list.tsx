import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { itemPhases, itemTypes, type ItemPhase, type ItemType } from '../../stream/protocol.js'
import { place, refine } from '../address.js'
import { Answered } from '../parts/answer.js'
import { ItemCells } from '../parts/item.js'
import { Rows } from '../parts/rows.js'
import { count } from '../parts/text.js'
import { useView } from '../use-view.js'

/** Jobs, operations, tasks and processes, with a filter that is a part of the address. */
export function List(): JSX.Element {
  const { text, phases, types, at } = place.value
  const [{ offset, limit }, setWindow] = useState({ offset: 0, limit: 60 })
  const shown = useView({
    view: 'list',
    offset,
    limit,
    ...(text !== '' && { text: text.slice(0, 256) }),
    ...(phases.length > 0 && { phases: itemPhases.filter((phase) => phases.includes(phase)) }),
    ...(types.length > 0 && { types: itemTypes.filter((type) => types.includes(type)) }),
    ...(at !== undefined && { at }),
  })
  const isFiltered = text !== '' || phases.length > 0 || types.length > 0
  return (
    <div class="list">
      <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          id="filter"
          type="search"
          value={text}
          maxLength={256}
          placeholder="words in name, kind, id, status, owner or error ( / )"
          aria-label="Filter"
          onInput={({ currentTarget }) => refine({ text: currentTarget.value })}
        />
        <Choices name="type" all={itemTypes} chosen={types} onChoose={(chosen) => refine({ types: chosen })} />
        <Choices name="phase" all={itemPhases} chosen={phases} onChoose={(chosen) => refine({ phases: chosen })} />
      </form>
      <Answered of={shown}>
        {(view) => (
          <>
            <p class="quiet found" role={isFiltered ? 'status' : undefined}>
              {count(view.total)} {isFiltered ? 'found' : 'in all'}
            </p>
            <Rows
              label="Operations, tasks and processes"
              empty={isFiltered ? 'Nothing matches.' : 'Nothing has been started yet.'}
              total={view.total}
              offset={view.offset}
              rows={view.rows}
              keyOf={({ type, id, session }) => `${type} ${session ?? ''} ${id}`}
              onWindow={(from, many) => setWindow({ offset: from, limit: many })}
            >
              {(row) => <ItemCells row={row} />}
            </Rows>
          </>
        )}
      </Answered>
    </div>
  )
}

interface ChoicesProperties<Name extends ItemPhase | ItemType> {
  readonly name: string
  readonly all: readonly Name[]
  readonly chosen: readonly string[]
  readonly onChoose: (chosen: readonly string[]) => void
}

function Choices<Name extends ItemPhase | ItemType>({
  name,
  all,
  chosen,
  onChoose,
}: ChoicesProperties<Name>): JSX.Element {
  return (
    <fieldset class="choices">
      <legend class="quiet">{name}</legend>
      {all.map((one) => (
        <label key={one}>
          <input
            type="checkbox"
            checked={chosen.includes(one)}
            onChange={() => onChoose(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one])}
          />
          {one}
        </label>
      ))}
    </fieldset>
  )
}
