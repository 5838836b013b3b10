"""The photo store: one key for the same pixels, whole files only, many writers."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from orchestra.core.errors import ImageNotFound, ImageTooLarge, ImageTruncated
from orchestra.images.intake import normalise, read_photo
from orchestra.images.store import ImageStore


def photo(seed: int = 0, size: tuple[int, int] = (60, 40)) -> Image.Image:
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    image.putpixel((0, 0), (seed % 256, seed // 256, 7))
    return image


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    return ImageStore() if request.param == "memory" else ImageStore(tmp_path / "images")


def test_photo_comes_back_pixel_for_pixel(store: ImageStore) -> None:
    original = photo()
    key = store.put(original)
    assert len(key) == 64
    assert store.get(key).tobytes() == original.tobytes()
    assert key in store


def test_folder_gives_the_same_pixels_to_another_process(tmp_path: Path) -> None:
    original = Image.effect_noise((301, 97), 90).convert("RGB")
    key = ImageStore(tmp_path).put(original)
    found = ImageStore(tmp_path).get(key)
    assert (found.mode, found.size, found.tobytes()) == ("RGB", (301, 97), original.tobytes())


def test_same_pixels_in_other_files_are_one_photo(store: ImageStore) -> None:
    files = [encoded(photo(), "PNG"), encoded(photo(), "PNG", compress_level=0)]
    files += [encoded(photo(), "BMP"), encoded(photo(), "TIFF")]
    assert len(set(files)) == 4
    assert len({store.put(normalise(data)) for data in files}) == 1


def test_one_changed_pixel_or_another_shape_is_another_photo(store: ImageStore) -> None:
    wide, high = Image.new("RGB", (8, 2)), Image.new("RGB", (2, 8))
    assert len({store.put(image) for image in (photo(0), photo(1), wide, high)}) == 4


def test_changing_a_returned_photo_leaves_the_store_alone(store: ImageStore) -> None:
    given = photo()
    expected = given.tobytes()
    key = store.put(given)
    given.paste((1, 2, 3), (0, 0, 9, 9))
    store.get(key).paste((9, 9, 9), (0, 0, 9, 9))
    assert store.get(key).tobytes() == expected


def test_image_with_alpha_is_normalised_when_it_is_put(store: ImageStore) -> None:
    key = store.put(Image.new("RGBA", (3, 3), (0, 0, 0, 0)))
    assert store.get(key).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("key", ["0" * 64, "../../etc/passwd", ""])
def test_unknown_key_is_not_found(store: ImageStore, key: str) -> None:
    assert key not in store
    with pytest.raises(ImageNotFound):
        store.get(key)


def test_memory_is_bounded_and_the_oldest_unused_photo_goes_first() -> None:
    store = ImageStore(memory_bytes=3 * 60 * 40 * 4)
    keys = [store.put(photo(n)) for n in range(3)]
    store.get(keys[0])
    keys.append(store.put(photo(3)))
    assert [key in store for key in keys] == [True, False, True, True]
    with pytest.raises(ImageNotFound, match="folder"):
        store.get(keys[1])


def test_folder_keeps_what_memory_dropped(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, memory_bytes=1)
    keys = [store.put(photo(n)) for n in range(5)]
    assert [store.get(key).tobytes() for key in keys] == [photo(n).tobytes() for n in range(5)]


def test_path_names_the_file_that_holds_the_photo(tmp_path: Path) -> None:
    assert ImageStore().path("0" * 64) is None
    store = ImageStore(tmp_path)
    path = store.path(store.put(photo()))
    assert path is not None
    with Image.open(path) as image:
        assert image.convert("RGB").tobytes() == photo().tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_file_that_holds_just_the_pixels_is_kept_as_it_is(tmp_path: Path, format: str) -> None:
    found = read_photo(encoded(photo(), format))
    pixels, file = found.image, found.file
    assert file is not None
    key, _ = ImageStore(tmp_path).keep(pixels, file)
    store = ImageStore(tmp_path)
    path = store.path(key)
    assert path is not None and path.read_bytes() == file.content
    assert store.get(key).tobytes() == pixels.tobytes()
    assert store.keep(pixels)[0] == key
    assert len([each for each in tmp_path.rglob("*") if each.is_file()]) == 1


def test_a_file_that_says_more_or_was_scaled_is_written_anew(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    wide = Image.radial_gradient("L").resize((1500, 800))
    clear = photo().convert("RGBA")
    clear.putpixel((1, 1), (9, 9, 9, 0))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = (
        encoded(photo(), "JPEG", exif=exif),
        encoded(photo(), "JPEG", comment=b"at home"),
        encoded(photo(), "PNG", icc_profile=srgb),
        encoded(clear, "PNG"),
        encoded(wide, "JPEG"),
        encoded(photo(), "GIF"),
        encoded(photo(), "JPEG") + bytes(60 * 40 * 3),
    )
    for data in files:
        found = read_photo(data)
        assert found.file is None
        key, _ = ImageStore(tmp_path).keep(found.image, found.file)
        path = ImageStore(tmp_path).path(key)
        assert path is not None and path.suffix == ".webp"


def test_a_file_of_other_pixels_is_told_apart(tmp_path: Path) -> None:
    key = ImageStore(tmp_path).put(photo())
    path = ImageStore(tmp_path).path(key)
    assert path is not None
    path.write_bytes(encoded(photo(1), "WEBP", lossless=True))
    with pytest.raises(ImageTruncated, match="other pixels"):
        ImageStore(tmp_path).get(key)


def test_damaged_file_is_a_typed_error(tmp_path: Path) -> None:
    key = ImageStore(tmp_path).put(photo())
    store = ImageStore(tmp_path)
    path = store.path(key)
    assert path is not None
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ImageTruncated, match="Delete it"):
        store.get(key)


def test_too_large_an_image_is_refused(store: ImageStore) -> None:
    with pytest.raises(ImageTooLarge):
        store.put(Image.new("RGB", (16_384, 1)))


def test_thumbnail_is_a_small_jpeg(store: ImageStore) -> None:
    key = store.put(photo(size=(600, 400)))
    thumbnail = Image.open(io.BytesIO(store.thumbnail(key, 96)))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (96, 64))


def test_many_threads_share_one_store(store: ImageStore) -> None:
    def work(n: int) -> bool:
        key = store.put(photo(n % 7))
        return store.get(key).tobytes() == photo(n % 7).tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_concurrent_writers_of_one_folder_leave_whole_files_only(tmp_path: Path) -> None:
    def write(_: int) -> list[str]:
        store = ImageStore(tmp_path)  # each writer has its own, as processes do
        return [store.put(photo(n)) for n in range(30)]

    with ThreadPoolExecutor(6) as pool:
        assert len({tuple(keys) for keys in pool.map(write, range(6))}) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 30
    store = ImageStore(tmp_path)
    for n in range(30):
        assert store.get(store.put(photo(n))).tobytes() == photo(n).tobytes()
    for path in files:
        with Image.open(path) as image:
            assert image.convert("RGB").size == (60, 40)
