"""The drawing of CarRacing as loops over pixels, compiled by Numba: what pygame paints, bit for bit.

Each function does what one of pygame does, on the memory (height, width) of a surface, a word of 32 bits a pixel with
red in the lowest 8: `gfxdraw.aapolygon` and `gfxdraw.filled_polygon` (SDL_gfx), `draw.polygon`, and the part of
`transform.smoothscale` that shrinks in width. Most of a picture is of one color, so next to the pixels a note is kept
of the cells, the stretches of a row that are shrunk to one pixel, in which colors may meet (`mixed`); all others come
from a table. `compiled` compares these functions with pygame's before it uses them.

Indices are unsigned (`uintp`) where loops are to run on vectors: signed ones may count from the end.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint32, uintp

ONE = 0x4000  # a whole pixel, in the fractions that smoothscale counts in
_LEFT, _RIGHT, _TOP, _BOTTOM = 1, 2, 4, 8
_COLORS = 16  # of which the table is kept while a picture is shrunk


def cells(width: int, columns: int) -> np.ndarray:
    """The cell in which each pixel of a row begins, and that after the last: uint8 (width + 1,)."""
    return (np.arange(width + 1) * ONE // (ONE * width // columns)).astype(np.uint8)


@njit(cache=True, nogil=True)
def _outside(x, y, width, height):
    """Over which edges of the surface a point lies."""
    code = _LEFT if x < 0 else _RIGHT if x >= width else 0
    return code | (_TOP if y < 0 else _BOTTOM if y >= height else 0)


@njit(cache=True, nogil=True)
def _clip(x1, y1, x2, y2, width, height):
    """Whether a line touches the surface, and its ends on it, exchanged where SDL_gfx exchanges them."""
    while True:
        code1, code2 = _outside(x1, y1, width, height), _outside(x2, y2, width, height)
        if code1 & code2:
            return False, x1, y1, x2, y2
        if code1 | code2 == 0:
            return True, x1, y1, x2, y2
        if code1 == 0:
            x1, y1, x2, y2, code1 = x2, y2, x1, y1, code2
        slope = np.float32(y2 - y1) / np.float32(x2 - x1) if x1 != x2 else np.float32(1)
        if code1 & (_LEFT | _RIGHT):
            edge = 0 if code1 & _LEFT else width - 1
            y1 += int64(np.float32(edge - x1) * slope)
            x1 = edge
        else:
            edge = 0 if code1 & _TOP else height - 1
            if x1 != x2:
                x1 += int64(np.float32(edge - y1) / slope)
            y1 = edge


@njit(cache=True, nogil=True)
def _span(words, mixed, cell, y, first, last, color):
    """Paint the pixels `first` to `last` of a row, as far as there are such."""
    left, right = max(first, 0), min(last, words.shape[1] - 1)
    if left <= right:
        row, begin, end = uintp(y), uintp(left), uintp(right + 1)
        for x in range(begin, end):
            words[row, x] = color
        mixed[row, uintp(cell[begin])] = True
        mixed[row, uintp(cell[end])] = True


@njit(cache=True, nogil=True)
def _line(words, mixed, cell, top, x1, y1, x2, y2, color):
    """An antialiased line, as aapolygon draws each side."""
    height, width = words.shape
    touches, x1, y1, x2, y2 = _clip(x1, y1, x2, y2, width, height)
    if not touches:
        return
    x, y, end_x, end_y = (x1, y1, x2, y2) if y1 <= y2 else (x2, y2, x1, y1)
    dx, dy = end_x - x, end_y - y
    if dx == 0 or dy == 0:
        for row in range(max(y, top), end_y + 1):
            _span(words, mixed, cell, row, min(x, end_x), max(x, end_x), color)
        return
    turn = 1 if dx > 0 else -1
    dx = abs(dx)
    if y1 >= top:
        _span(words, mixed, cell, y1, x1, x1, color)
    if dy > dx:
        length, rise, along_x, along_y, across_x, across_y = dy, dx, 0, 1, turn, 0
    else:
        length, rise, along_x, along_y, across_x, across_y = dx, dy, turn, 0, 0, 1
    red, green, blue = int64(color) & 255, int64(color) >> 8 & 255, int64(color) >> 16 & 255
    error, change = uint32(0), uint32(((rise << 16) // length) << 16)
    for _ in range(length - 1):
        before = error
        error = uint32(error + change)
        if error <= before:
            x += across_x
            y += across_y
        x += along_x
        y += along_y
        # In place, not in a function: handing the arrays over would take longer than the two pixels do.
        for side in range(2):
            at_x, at_y = x + side * across_x, y + side * across_y
            if at_y < top or at_y >= height or at_x < 0 or at_x >= width:
                continue
            row, column = uintp(at_y), uintp(at_x)
            weight = int64(error >> uint32(24))
            alpha = 255 * (weight if side else 255 - weight) >> 8
            old = int64(words[row, column])
            r, g, b = old & 255, old >> 8 & 255, old >> 16 & 255
            r += (red - r) * alpha >> 8
            g += (green - g) * alpha >> 8
            b += (blue - b) * alpha >> 8
            words[row, column] = uint32(r | g << 8 | b << 16)
            mixed[row, uintp(cell[column])] = True
            mixed[row, uintp(cell[column + uintp(1)])] = True


@njit(cache=True, nogil=True)
def _fill(words, mixed, cell, top, xs, ys, color):
    """A filled quadrilateral, as filled_polygon draws it."""
    height = words.shape[0]
    low, high = min(ys[0], ys[1], ys[2], ys[3]), max(ys[0], ys[1], ys[2], ys[3])
    sides, edges = 0, np.empty((4, 4), np.int64)  # the upper y, the lower y, x above, and by how much x grows
    for i in range(4):
        j = (i + 3) & 3
        if ys[i] != ys[j]:
            above, below = (j, i) if ys[j] < ys[i] else (i, j)
            edges[sides, 0], edges[sides, 1] = ys[above], ys[below]
            edges[sides, 2], edges[sides, 3] = xs[above], xs[below] - xs[above]
            sides += 1
    crossed = np.empty(4, np.int64)
    for y in range(max(low, top), min(high, height - 1) + 1):
        count = 0
        for i in range(sides):
            above, below = edges[i, 0], edges[i, 1]
            if y >= above and (y < below or (y == high and y == below)):
                share = int64(uint32((y - above) << 16) // uint32(below - above))
                at, place = share * edges[i, 3] + (edges[i, 2] << 16), count
                while place and crossed[place - 1] > at:
                    crossed[place] = crossed[place - 1]
                    place -= 1
                crossed[place] = at
                count += 1
        for i in range(0, count, 2):
            first, last = (crossed[i] + 1 + 32768) >> 16, (crossed[i + 1] - 1 + 32768) >> 16
            _span(words, mixed, cell, y, min(first, last), max(first, last), color)


@njit(cache=True, nogil=True)
def _polygon(words, mixed, cell, top, xs, ys, corners, color):
    """A filled polygon, as draw.polygon draws those of more than three corners."""
    height = words.shape[0]
    low, high = ys[0], ys[0]
    left, right = xs[0], xs[0]
    for i in range(1, corners):
        low, high = min(low, ys[i]), max(high, ys[i])
        left, right = min(left, xs[i]), max(right, xs[i])
    if low == high:
        if top <= low < height:
            _span(words, mixed, cell, low, left, right, color)
        return
    crossed = np.empty(corners, np.int64)
    for y in range(max(low, top), min(high, height - 1) + 1):
        count = 0
        for i in range(corners):
            j = i - 1 if i else corners - 1
            above, below = (j, i) if ys[j] < ys[i] else (i, j)
            y1, y2 = ys[above], ys[below]
            if y1 == y2:
                continue
            if (y >= y1 and y < y2) or (y == high and y2 == high):
                across = np.float32((y - y1) * (xs[below] - xs[above])) / np.float32(y2 - y1)
                at = int64(np.ceil(across) if count % 2 else np.floor(across)) + xs[above]
                place = count
                while place and crossed[place - 1] > at:
                    crossed[place] = crossed[place - 1]
                    place -= 1
                crossed[place] = at
                count += 1
        for i in range(0, count, 2):
            _span(words, mixed, cell, y, crossed[i], crossed[i + 1], color)
    for i in range(corners):
        j = i - 1 if i else corners - 1
        y = ys[i]
        if low < y < high and ys[j] == y and top <= y < height:
            _span(words, mixed, cell, y, min(xs[i], xs[j]), max(xs[i], xs[j]), color)


@njit(cache=True, nogil=True)
def paint_track(words, mixed, cell, top, margin, corners, colors, view):
    """Outline and fill the quadrilaterals that may touch the rows from `top` on.

    Args:
        words, mixed, cell: the surface (H, W), where colors meet (H, cells), and the cells of `cells`.
        top, margin: the first row, and how near to the screen a polygon has to come, in pixels.
        corners, colors: (N, 4, 2) in units of the world, and uint32 (N,).
        view: cosine, sine, zoom and shift of the camera, (5,).
    """
    height, width = words.shape
    cos, sin, zoom, shift_x, shift_y = view
    xs, ys = np.empty(4, np.int64), np.empty(4, np.int64)
    for n in range(len(corners)):
        left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
        for i in range(4):
            x, y = corners[n, i, 0], corners[n, i, 1]
            across, along = (cos * x - sin * y) * zoom + shift_x, (sin * x + cos * y) * zoom + shift_y
            left, right, low, high = min(left, across), max(right, across), min(low, along), max(high, along)
            xs[i], ys[i] = int64(across), int64(along)
        if right > -margin and left < width + margin and high > top - margin and low < height + margin:
            for i in range(4):
                j = (i + 1) & 3
                _line(words, mixed, cell, top, xs[i], ys[i], xs[j], ys[j], colors[n])
            _fill(words, mixed, cell, top, xs, ys, colors[n])


@njit(cache=True, nogil=True)
def paint_car(words, mixed, cell, top, bodies, shapes, corners, body_of, colors, view):
    """Fill the shapes of bodies.

    Args:
        words, mixed, cell, top, view: as of `paint_track`.
        bodies: position, sine and cosine of each, float32 (B, 4): Box2D computes with 32 bits.
        shapes, corners: (K, P, 2) in units of its body, float32, and how many of the P corners each has.
        body_of, colors: of each shape, (K,).
    """
    cos, sin, zoom, shift_x, shift_y = view
    xs, ys = np.empty(shapes.shape[1], np.int64), np.empty(shapes.shape[1], np.int64)
    for n in range(len(shapes)):
        if corners[n] == 0:
            continue
        at_x, at_y, body_sin, body_cos = bodies[body_of[n]]
        for i in range(corners[n]):
            x, y = shapes[n, i, 0], shapes[n, i, 1]
            world_x = np.float64((body_cos * x - body_sin * y) + at_x)
            world_y = np.float64((body_sin * x + body_cos * y) + at_y)
            xs[i] = int64((cos * world_x - sin * world_y) * zoom + shift_x)
            ys[i] = int64((sin * world_x + cos * world_y) * zoom + shift_y)
        _polygon(words, mixed, cell, top, xs, ys, corners[n], colors[n])


@njit(cache=True, nogil=True)
def paint_boxes(words, mixed, cell, first_row, boxes, colors):
    """Fill rectangles (N, 4), two corners each, on a surface whose first row is row `first_row` of the picture."""
    xs, ys = np.empty(4, np.int64), np.empty(4, np.int64)
    for n in range(len(boxes)):
        left, low, right, high = boxes[n]
        xs[0], xs[1], xs[2], xs[3] = int64(left), int64(right), int64(right), int64(left)
        ys[0] = ys[1] = int64(low) - first_row
        ys[2] = ys[3] = int64(high) - first_row
        _polygon(words, mixed, cell, 0, xs, ys, 4, colors[n])


@njit(cache=True, nogil=True)
def _shrunk(whole, carried, pixel, part, reciprocal):
    """One channel of a cell: whole pixels, what the pixel before it left, and a part of its last one."""
    return ((whole + carried + (pixel * uint32(4) * part >> uint32(16))) * reciprocal) >> uint32(16)


@njit(cache=True, nogil=True)
def _of_one_color(color, counts, parts, reciprocal, out):
    """What the cells of a row of one color are shrunk to."""
    left = uint32(0)
    for j in range(len(counts)):
        word = uint32(0)
        for shift in range(0, 24, 8):
            pixel = (color >> uint32(shift)) & uint32(255)
            carried = pixel * uint32(4) * left >> uint32(16)
            word |= _shrunk(pixel * counts[j], carried, pixel, parts[j], reciprocal) << uint32(shift)
        out[j] = word
        left = uint32(ONE) - parts[j]


@njit(cache=True, nogil=True)
def shrink_rows(words, mixed, top, turned, out):
    """Shrink the rows from `top` on in width, into `out` (rows, columns); the last one first where `turned`."""
    height, width = words.shape
    columns = out.shape[1]
    space = ONE * width // columns
    reciprocal = uint32(0x40000000 // space)
    begins, counts, parts = np.empty(columns, np.uint32), np.empty(columns, np.uint32), np.empty(columns, np.uint32)
    counter, begin = space, 0
    for j in range(columns):
        begins[j], counts[j] = begin, (counter - 1) // ONE
        parts[j] = counter - ONE * int64(counts[j])
        counter = space - (ONE - int64(parts[j]))
        begin += int64(counts[j]) + 1
    known, table = np.empty(_COLORS, np.uint32), np.empty((_COLORS, columns), np.uint32)
    colors, at = 0, 0
    two, byte, green_at, blue_at = uint32(0xFF00FF), uint32(0xFF), uint32(8), uint32(16)
    for row in range(height - top):
        y, to = uintp(height - 1 - row if turned else top + row), uintp(row)
        j = uintp(0)
        while j < uintp(columns):
            if not mixed[y, j]:  # and so all up to the next mixed one are of one color
                color = words[y, uintp(begins[j])]
                if colors == 0 or known[at] != color:
                    at = 0
                    while at < colors and known[at] != color:
                        at += 1
                    if at == colors:
                        if colors == _COLORS:
                            colors = at = 0
                        known[at] = color
                        _of_one_color(color, counts, parts, reciprocal, table[at])
                        colors += 1
                while j < uintp(columns) and not mixed[y, j]:
                    out[to, j] = table[at, j]
                    j += uintp(1)
                continue
            x = uintp(begins[j])
            red, green, blue = uint32(0), uint32(0), uint32(0)
            if j:
                word, left = words[y, x - uintp(1)], uint32(ONE) - parts[j - uintp(1)]
                red = (word & byte) * uint32(4) * left >> uint32(16)
                green = ((word >> green_at) & byte) * uint32(4) * left >> uint32(16)
                blue = ((word >> blue_at) & byte) * uint32(4) * left >> uint32(16)
            outer, middle = uint32(0), uint32(0)  # sums of red and blue in one word, and of green
            for at_x in range(x, x + uintp(counts[j])):
                word = words[y, at_x]
                outer += word & two
                middle += (word >> green_at) & byte
            word = words[y, x + uintp(counts[j])]
            red = _shrunk(outer & uint32(0xFFFF), red, word & byte, parts[j], reciprocal)
            green = _shrunk(middle, green, (word >> green_at) & byte, parts[j], reciprocal)
            blue = _shrunk(outer >> blue_at, blue, (word >> blue_at) & byte, parts[j], reciprocal)
            out[to, j] = red | green << green_at | blue << blue_at
            j += uintp(1)
