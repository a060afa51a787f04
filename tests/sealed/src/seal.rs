// SPDX-License-Identifier: GPL-3.0-or-later
//! Seals a small document with a password, in each format that a crate writes.

use anyhow::Context;
use lopdf::{
    Document, EncryptionState, EncryptionVersion, Object, Permissions, Stream, dictionary,
    encryption::crypt_filters::{Aes256CryptFilter, CryptFilter},
};
use ms_offcrypto_writer::Ecma376AgileWriter;
use sevenz_rust2::{
    ArchiveEntry, ArchiveWriter,
    encoder_options::{AesEncoderOptions, Lzma2Options},
};
use std::{
    collections::BTreeMap,
    io::{Cursor, Write},
    sync::Arc,
};
use zip::{AesMode, ZipWriter, unstable::write::FileOptionsExt, write::FileOptions};

/// How a file is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// ZIP with the old cipher.
    ZipCrypto,
    /// ZIP with AES.
    ZipAes,
    /// 7z, with its names or without.
    SevenZip,
    /// RAR 5.
    Rar,
    /// PDF with RC4.
    PdfRc4,
    /// PDF with AES-256.
    PdfAes,
    /// A Word document of today.
    Ooxml,
}

/// What is in every sealed file, so that whoever opens it can tell.
pub const INSIDE: &str = "What was sealed and is open now.\n";

/// As a power of two: what 7-Zip takes; less in the unit tests, which are built without optimisation.
const SEVEN_ZIP_ROUNDS: u8 = if cfg!(test) { 8 } else { 19 };

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::ZipCrypto, Self::ZipAes, Self::SevenZip, Self::Rar, Self::PdfRc4, Self::PdfAes, Self::Ooxml];

    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZipCrypto => "zip (ZipCrypto)",
            Self::ZipAes => "zip (AES)",
            Self::SevenZip => "7z",
            Self::Rar => "rar 5",
            Self::PdfRc4 => "pdf (RC4)",
            Self::PdfAes => "pdf (AES-256)",
            Self::Ooxml => "docx",
        }
    }

    /// What ends the names of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::ZipCrypto | Self::ZipAes => "zip",
            Self::SevenZip => "7z",
            Self::Rar => "rar",
            Self::PdfRc4 | Self::PdfAes => "pdf",
            Self::Ooxml => "docx",
        }
    }

    /// What its files begin with.
    pub(crate) fn start(self) -> &'static [u8] {
        match self {
            Self::ZipCrypto | Self::ZipAes => b"PK\x03\x04",
            Self::SevenZip => b"7z\xbc\xaf\x27\x1c",
            Self::Rar => b"Rar!\x1a\x07\x01\x00",
            Self::PdfRc4 | Self::PdfAes => b"%PDF-",
            Self::Ooxml => b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        }
    }

    /// A file that `password` opens.
    pub fn seal(self, password: &str) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::ZipCrypto => {
                zip(FileOptions::<()>::default().with_deprecated_encryption(password.as_bytes())?)
            }
            Self::ZipAes => zip(FileOptions::<()>::default().with_aes_encryption(AesMode::Aes256, password)),
            Self::SevenZip => seven_zip(password),
            Self::Rar => rar(password),
            Self::PdfRc4 | Self::PdfAes => pdf(self, password),
            Self::Ooxml => ooxml(password),
        }
        .with_context(|| format!("{} is sealed", self.as_str()))
    }
}

fn zip(options: FileOptions<'_, '_, ()>) -> anyhow::Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("document.txt", options)?;
    writer.write_all(INSIDE.as_bytes())?;
    Ok(writer.finish()?.into_inner())
}

fn seven_zip(password: &str) -> anyhow::Result<Vec<u8>> {
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()))?;
    let mut aes = AesEncoderOptions::new(password.into());
    aes.num_cycles_power = SEVEN_ZIP_ROUNDS;
    writer.set_content_methods(vec![aes.into(), Lzma2Options::from_level(1).into()]);
    // Half of those who seal hide the names too.
    writer.set_encrypt_header(password.len().is_multiple_of(2));
    writer.push_archive_entry(ArchiveEntry::new_file("document.txt"), Some(INSIDE.as_bytes()))?;
    Ok(writer.finish()?.into_inner())
}

fn rar(password: &str) -> anyhow::Result<Vec<u8>> {
    let builder =
        rars::Builder::new(rars::ArchiveVersion::Rar50).password(Some(password.as_bytes().to_vec()));
    let mut builder = builder.header_encryption(password.len().is_multiple_of(2));
    builder.add_bytes(b"document.txt".to_vec(), INSIDE.as_bytes().to_vec(), None, None)?;
    Ok(builder.to_bytes()?)
}

fn pdf(format: Format, password: &str) -> anyhow::Result<Vec<u8>> {
    let mut document = page();
    let permissions = Permissions::all();
    let key: [u8; 32] = rand::random();
    let filter: Arc<dyn CryptFilter> = Arc::new(Aes256CryptFilter);
    let version = match format {
        Format::PdfAes => EncryptionVersion::V5 {
            encrypt_metadata: true,
            crypt_filters: BTreeMap::from([(b"StdCF".to_vec(), filter)]),
            file_encryption_key: &key,
            stream_filter: b"StdCF".to_vec(),
            string_filter: b"StdCF".to_vec(),
            owner_password: "owner",
            user_password: password,
            permissions,
        },
        _ => EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: password,
            key_length: 128,
            permissions,
        },
    };
    let state = EncryptionState::try_from(version)?;
    document.encrypt(&state)?;
    let mut bytes = Vec::new();
    document.save_to(&mut bytes)?;
    Ok(bytes)
}

/// A PDF with one page.
fn page() -> Document {
    let mut document = Document::with_version("1.7");
    let pages = document.new_object_id();
    let font =
        document.add_object(dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier" });
    let text = format!("BT /F1 12 Tf 72 720 Td ({}) Tj ET", INSIDE.trim_end());
    let content = document.add_object(Stream::new(dictionary! {}, text.into_bytes()));
    let page = document.add_object(dictionary! {
        "Type" => "Page",
        "Parent" => pages,
        "Contents" => content,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        "Resources" => dictionary! { "Font" => dictionary! { "F1" => font } },
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    let id = Object::string_literal(rand::random::<[u8; 16]>().to_vec());
    document.trailer.set("ID", vec![id.clone(), id]);
    document
}

fn ooxml(password: &str) -> anyhow::Result<Vec<u8>> {
    const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
    const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:body></w:document>"#,
        INSIDE.trim_end()
    );
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let parts =
        [("[Content_Types].xml", TYPES), ("_rels/.rels", RELATIONS), ("word/document.xml", &document)];
    for (name, content) in parts {
        writer.start_file(name, FileOptions::<()>::default())?;
        writer.write_all(content.as_bytes())?;
    }
    let package = writer.finish()?.into_inner();
    let mut file = Cursor::new(Vec::new());
    let mut sealing = Ecma376AgileWriter::create(&mut rand::rng(), password, &mut file)?;
    sealing.write_all(&package)?;
    sealing.finalize()?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_format_seals() {
        for format in Format::ALL {
            let sealed = format.seal("Xy7kk").unwrap();
            assert!(sealed.starts_with(format.start()), "{format:?}");
            let text = INSIDE.trim_end().as_bytes();
            assert!(!sealed.windows(text.len()).any(|window| window == text), "{format:?} is open");
        }
    }

    #[test]
    fn the_password_opens_and_another_does_not() {
        for format in [Format::ZipCrypto, Format::ZipAes] {
            let sealed = format.seal("Xy7kk").unwrap();
            let mut archive = zip::ZipArchive::new(Cursor::new(sealed)).unwrap();
            let mut text = String::new();
            archive.by_index_decrypt(0, b"Xy7kk").unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, INSIDE);
        }
        for format in [Format::PdfRc4, Format::PdfAes] {
            let sealed = format.seal("Xy7kk").unwrap();
            let open = |password| {
                Document::load_mem_with_options(&sealed, lopdf::LoadOptions::with_password(password))
            };
            assert!(
                open("Xy7kk")
                    .is_ok_and(|document| !document.is_encrypted() || document.get_pages().len() == 1)
            );
            assert!(open("other").is_err());
        }
        let sealed = Format::SevenZip.seal("Xy7kk").unwrap();
        let mut reader = sevenz_rust2::ArchiveReader::new(Cursor::new(sealed), "Xy7kk".into()).unwrap();
        assert_eq!(reader.read_file("document.txt").unwrap(), INSIDE.as_bytes());
    }
}
