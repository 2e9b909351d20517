"""The book of turns: two scripts that Valkey runs, each as one indivisible step on its own clock.

All times are microseconds of the server's clock. Keys: the newest `n` turns given out (newest
first), the end of a pause, who waits, what each tenant was served, and whether processes that
went on alone are still being gathered. `docs/limits.md` explains the rules.
"""

from __future__ import annotations

# Answers: 1 and the microseconds to the turn; or 0, the microseconds until it is worth to ask
# again, and those to the turn as far as known. Fourth: what is left of a pause. Fifth: the turn.
ASK = """
local n, window, gap = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local horizon, lead, longest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local me, tenant, class = ARGV[7], ARGV[8], ARGV[9]
local known_pause, alone = tonumber(ARGV[10]), tonumber(ARGV[11])
local gathering, patience, kept_ms = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
local TURNS, PAUSE, WAITING, SERVED, GATHER = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local clock = redis.call('TIME')
local now = tonumber(ARGV[15]) or clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end

-- Without turns (first use, or the memory is lost) or with turns of a clock that went back, and
-- when a process comes back that went on alone: everybody waits until all who may be alone have
-- asked, and then counts one window as used up.
local given = math.min(redis.call('LLEN', TURNS), n)
local latest = tonumber(redis.call('LINDEX', TURNS, 0) or '0')
local pause = tonumber(redis.call('GET', PAUSE) or '0')
local lost = given == 0 or latest > now + 60000000
if lost then
  redis.call('DEL', TURNS, WAITING, SERVED, GATHER)
  for i = 1, n do redis.call('LPUSH', TURNS, text(now)) end
  given, latest, pause = n, now, 0
end
if (lost or alone == 1) and now >= tonumber(redis.call('GET', GATHER) or '0') then
  redis.call('SET', GATHER, text(now + gathering), 'PX', kept_ms)
  pause = math.max(pause, now + gathering + window)
end
-- A process remembers what is left of a pause that it was told of, so that lost memory does not
-- end it. The quarter of a second is for the way here: it must not lengthen a pause that stands.
if now + known_pause > pause + 250000 then pause = now + math.min(known_pause, 86400000000) end
if pause > now then
  redis.call('SET', PAUSE, text(pause), 'PX', math.ceil((pause - now) / 1000))
end

-- Who else waits, by class and tenant; whoever is overdue is not counted any more.
local seq, waiting = nil, {i = {}, b = {}}
local total = {i = 0, b = 0}
local fields = redis.call('HGETALL', WAITING)
for at = 1, #fields, 2 do
  local its_class, number, till, whose =
    string.match(fields[at + 1], '^(%a)(%d+):(%d+):(.*)$')
  if fields[at] == me then
    seq = tonumber(number)
  elseif tonumber(till) < now then
    redis.call('HDEL', WAITING, fields[at])
  else
    local group = waiting[its_class]
    group[whose] = group[whose] or {}
    table.insert(group[whose], tonumber(number))
    total[its_class] = total[its_class] + 1
  end
end
local known = seq ~= nil
seq = seq or redis.call('HINCRBY', SERVED, '#seq', 1)

-- Fair queueing: the k-th waiter of a tenant stands at what the tenant was served, plus k. A
-- tenant that comes new starts where the least served one stands: nobody saves up turns.
local virtual = tonumber(redis.call('HGET', SERVED, '#now' .. class) or '0')
local function stands(whose)
  return tonumber(redis.call('HGET', SERVED, class .. whose) or '0')
end
local least = stands(tenant)
if not known and not waiting[class][tenant] and least < virtual then least = virtual end
redis.call('HSET', SERVED, class .. tenant, text(least))
local before = 0
for _, number in ipairs(waiting[class][tenant] or {}) do
  if number < seq then before = before + 1 end
end
local place, ahead = stands(tenant) + before, before
for whose, numbers in pairs(waiting[class]) do
  if whose ~= tenant then
    local at = stands(whose)
    least = math.min(least, at)
    table.sort(numbers)
    ahead = ahead + math.min(math.max(place - at, 0), #numbers)
    -- Of two waiters that stand level, who came first.
    local level = numbers[place - at + 1]
    if level and level < seq then ahead = ahead + 1 end
  end
end
-- A person goes before imports, but every fourth turn is an import's if one waits.
local streak = tonumber(redis.call('HGET', SERVED, '#streak') or '0')
if class == 'i' then
  ahead = ahead + math.min(total.b, math.floor((streak + ahead) / 3))
else
  ahead = ahead + math.min(total.i, math.max(0, 3 * (ahead + 1) - streak))
end

-- The next turns: at most n in a window, and never all at once.
local newest, turn, mine = latest, nil, nil
local function edge(k)
  -- What the k-th turn from now (0 is the next) must come a window after, if anything. Looked up
  -- one by one: a high rate keeps many turns.
  local index = n - k
  if index < 1 or index > given then return 0 end
  return tonumber(redis.call('LINDEX', TURNS, index - 1)) + window
end
local ring = {}
for k = 0, ahead do
  local after = k < n and edge(k) or ring[k - n] + window
  mine = math.max(now, pause, newest + gap, after)
  ring[k], newest = mine, mine
  turn = turn or mine
end

local left = text(math.max(0, pause - now))
if mine - now <= horizon then
  redis.call('LPUSH', TURNS, text(turn))
  redis.call('LTRIM', TURNS, 0, n - 1)
  redis.call('HDEL', WAITING, me)
  local start = stands(tenant)
  -- Who is far behind the others does not wait any more, but died.
  virtual = math.max(virtual, least, start - 3)
  redis.call('HSET', SERVED, class .. tenant, text(start + 1), '#now' .. class, text(virtual))
  local others = total.b > 0 and class == 'i'
  redis.call('HSET', SERVED, '#streak', others and math.min(streak + 1, 3) or 0)
  if redis.call('HLEN', SERVED) > 500 then
    local all = redis.call('HGETALL', SERVED)
    for at = 1, #all, 2 do
      if string.sub(all[at], 1, 1) == class and tonumber(all[at + 1]) <= virtual then
        redis.call('HDEL', SERVED, all[at])
      end
    end
  end
  for _, key in ipairs({TURNS, SERVED}) do redis.call('PEXPIRE', key, kept_ms) end
  return {1, text(turn - now), text(turn - now), left, text(turn)}
end
if mine - now > longest then
  redis.call('HDEL', WAITING, me)
  return {0, text(mine - now), text(mine - now), left}
end
-- Places change, and who is overdue is gone: nobody sleeps for long.
local again = math.min(mine - lead - now, patience * 2)
local entry = class .. text(seq) .. ':' .. text(now + again + patience) .. ':' .. tenant
redis.call('HSET', WAITING, me, entry)
redis.call('PEXPIRE', WAITING, kept_ms)
return {0, text(again), text(mine - now), left}
"""

HOLD = """
local clock = redis.call('TIME')
local now = tonumber(ARGV[3]) or clock[1] * 1000000 + clock[2]
local till = now + tonumber(ARGV[1])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if till > held then
  redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', ARGV[2])
end
return 1
"""

# The request of this turn may have arrived so much later: the turn counts from then. It moves past
# the turns given out meanwhile, which are few beside all that a high rate keeps.
LATE = """
local moved = tonumber(ARGV[1]) + tonumber(ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
local at, newer = 0, nil
repeat
  newer = redis.call('LINDEX', KEYS[1], at)
  at = at + 1
until not newer or tonumber(newer) <= moved
if at == 1 then
  redis.call('LPUSH', KEYS[1], string.format('%.0f', moved))
elseif newer then
  redis.call('LINSERT', KEYS[1], 'BEFORE', newer, string.format('%.0f', moved))
else
  redis.call('RPUSH', KEYS[1], string.format('%.0f', moved))
end
redis.call('PEXPIRE', KEYS[1], math.max(left, 1000))
return 1
"""
