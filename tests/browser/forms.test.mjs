// What somebody typed outlives the session on which it was sent, and a file that is too large.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { PASSWORD, PHONE, accessible, house, quiet } from './house.mjs'

let h, admin
before(async () => {
  h = await house()
  admin = await h.admin()
})
after(async () => { await h?.close() })

/** The session ends, as after sixteen hours, or because an administrator ended it. */
async function endSession ({ context }) {
  const cookies = await context.cookies()
  await context.clearCookies()
  await context.addCookies(cookies.map(cookie => ({ ...cookie, value: 'bcs_ended' })))
}

async function logIn (page, login, password = PASSWORD) {
  await page.fill('#login', login)
  await page.fill('#password', password)
  await page.locator('button', { hasText: /^Log in$/ }).click()
  await page.waitForLoadState()
}

for (const [how, options] of [['with scripts', {}], ['without scripts, on a telephone', { scripts: false, viewport: PHONE }]]) {
  test(`a report typed on an expired session arrives after logging in again, ${how}`, async () => {
    const login = options.scripts === false ? 'lea' : 'kim'
    const who = await h.join(admin, { login, name: `Name of ${login}`, role: 'reporter' }, options)
    const { page } = who
    await page.goto('/report')
    await page.fill('#t', `Laptop "left" on a train & gone, ${how}`)
    await page.locator('label', { hasText: /^Earlier$/ }).click()
    await page.fill('#w', '2026-03-27T16:20')
    await page.locator('label', { hasText: /^Yes$/ }).first().click()
    await page.click('summary >> text=Add more')
    await page.selectOption('#e', 'grid-it')
    await page.fill('#r', `INC-${login}`)
    await endSession(who)
    await page.click('text=Open the incident')
    await page.waitForLoadState()
    assert.match(await page.textContent('main'), /Your session has ended\. What you typed is kept/)
    if (options.scripts !== false) await accessible(who, 'the login with a form that waits')
    await logIn(page, login, 'not the password')
    assert.match(await page.textContent('main'), /What you typed is kept/, 'a mistake costs nothing')
    await logIn(page, login)
    assert.match(await page.textContent('#again'), /Not recorded yet: your session had ended/)
    assert.equal(await page.inputValue('#t'), `Laptop "left" on a train & gone, ${how}`)
    assert.equal(await page.inputValue('#w'), '2026-03-27T16:20')
    assert.equal(await page.inputValue('#e'), 'grid-it')
    assert.equal(await page.inputValue('#r'), `INC-${login}`)
    assert.ok(await page.locator('input[name=personal][value=yes]').isChecked())
    if (options.scripts !== false) await accessible(who, 'the form after the login')
    await admin.page.goto('/incidents')
    assert.ok(!(await admin.page.textContent('main')).includes(how), 'nothing is sent by itself')
    await page.click('text=Open the incident')
    await page.waitForURL('**/incidents/*')
    assert.equal(await page.textContent('h1'), `Laptop "left" on a train & gone, ${how}`)
    assert.match(await page.textContent('.lede'), /Rete SpA/)
    quiet(who)
  })
}

test('somebody who logged in in another window comes back to what they typed', async () => {
  const who = await h.join(admin, { login: 'ines', name: 'Ines', role: 'reporter' })
  const { page, context } = who
  await page.goto('/report')
  await page.fill('#t', 'Mails to the wrong list')
  await endSession(who)
  await page.click('text=Open the incident')
  await page.click('text=Show what I typed')
  assert.match(await page.textContent('main'), /What you typed is kept/, 'not logged in yet')
  const other = await context.newPage()
  await other.goto('/login?next=/again')
  await logIn(other, 'ines')
  assert.match(await other.textContent('main'), /You are logged in/)
  await accessible({ page: other }, 'the way back to the first window')
  await page.click('text=Show what I typed')
  assert.equal(await page.inputValue('#t'), 'Mails to the wrong list')
  await page.click('text=Open the incident')
  await page.waitForURL('**/incidents/*')
  quiet(who)
})

test('a proof that is too large is named, and the rest of the filing stays', async () => {
  const incident = await h.report(admin, {
    title: 'Wrong attachment', entity: 'acme-fr',
    facts: { personal_data: true, risk: 'risk', 'times.aware': new Date(Date.now() - 3600e3).toISOString(), 'affected.FR': 3 }
  })
  const obligation = incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  const { page } = admin
  await page.goto(`/obligations/${encodeURIComponent(obligation.id)}`)
  const file = join(h.dir, 'film.bin')
  writeFileSync(file, Buffer.alloc((33 << 20)))
  await page.fill('#fr', 'CNIL 77')
  await page.fill('#fnote', 'by telephone first')
  await page.locator('label', { hasText: /^complete$/ }).click()
  await page.setInputFiles('#fp', file)
  await page.click('#file button')
  await page.waitForSelector('#fp-said')
  assert.match(await page.textContent('#fp-said'), /`proof` holds more than 32 MiB/)
  assert.equal(await page.inputValue('#fr'), 'CNIL 77')
  assert.equal(await page.inputValue('#fnote'), 'by telephone first')
  assert.ok(await page.locator('input[name=part][value=complete]').isChecked())
  await accessible(admin, 'a filing that was refused')
  writeFileSync(file, Buffer.alloc(3 << 20, '.'))
  await page.setInputFiles('#fp', file)
  await page.click('#file button')
  await page.waitForURL('**done=filing')
  assert.match(await page.textContent('main'), /complete/)
  quiet(admin)
})
